/** Drops of things that hang together (drops-schema.sql), each taken back from quarantine. */
export const DROPS: readonly (readonly string[])[] = [
  ['DROP TABLE shop.goods CASCADE'],
  ['DROP TABLE shop.heap'],
  ['DROP TABLE shop.goods, shop.lines, shop.notes, shop.parts CASCADE'],
  ['DROP TABLE IF EXISTS shop.lines, shop.absent'],
  ['DROP TABLE shop.buyers CASCADE'],
  ['DROP TABLE shop.parts'],
  ['DROP TABLE shop.parts_eu'],
  ['DROP TABLE public."Odd.Name"'],
  ['DROP TABLE shop.elder CASCADE'],
  ['DROP VIEW public.cheapest, shop.cheap'],
  ['DROP VIEW shop.cheap CASCADE'],
  ['DROP VIEW shop.bought'],
  ['DROP SEQUENCE shop.numbers CASCADE'],
  ['DROP TYPE shop.place CASCADE'],
  ['DROP DOMAIN shop.unused'],
  ['DROP FUNCTION shop.touch CASCADE'],
  ['DROP PROCEDURE shop.nothing'],
  ['DROP AGGREGATE shop.total(int)'],
  ['DROP SCHEMA shop CASCADE'],
  ['DROP SCHEMA aside RESTRICT'],
  ['DROP TABLE shop.lines', 'DROP TABLE shop.heap', 'DROP VIEW public.cheapest'],
];

/** What can't be moved out of the way, and the reason that the plan gives. */
export const UNMOVABLE: readonly { readonly sql: string; readonly why: string }[] = [
  { sql: 'DROP MATERIALIZED VIEW shop.counted', why: 'shop.counted reads shop.goods, which stays' },
  { sql: 'DROP TYPE shop.span', why: 'the cast of shop.span would go with it' },
  { sql: 'DROP TABLE shop.heir', why: 'shop.heir inherits from shop.elder, which stays' },
  { sql: 'DROP TABLE public.told', why: 'what is published of public.told would go with it' },
  { sql: 'DROP SEQUENCE shop.buyers_id_seq CASCADE', why: 'shop.buyers_id_seq belongs to shop.buyers, which stays' },
  { sql: 'DROP DOMAIN shop.price CASCADE', why: 'column shop.goods.price' },
];
