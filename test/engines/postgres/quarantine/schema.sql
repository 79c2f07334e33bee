-- What a dropped table may hang together with.
CREATE SCHEMA shop;
COMMENT ON SCHEMA shop IS 'where it is sold';
CREATE TYPE shop.state AS ENUM ('new', 'sent');
CREATE DOMAIN shop.price AS numeric(10, 2) CHECK (VALUE >= 0);
CREATE SEQUENCE shop.numbers START 100;
CREATE FUNCTION shop.twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE shop.buyers (id serial PRIMARY KEY, email text UNIQUE NOT NULL);
CREATE TABLE shop.goods (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, buyer int CONSTRAINT bought_by REFERENCES shop.buyers ON DELETE SET NULL,
  up bigint REFERENCES shop.goods, name text DEFAULT 'it''s' NOT NULL, price shop.price, state shop.state DEFAULT 'new', number bigint DEFAULT nextval('shop.numbers'),
  doubled int GENERATED ALWAYS AS (shop.twice(7)) STORED, CONSTRAINT named CHECK (name <> ''));
CREATE INDEX goods_name ON shop.goods (lower(name)) WHERE id > 1;
CREATE STATISTICS shop.together ON name, price FROM shop.goods;
CREATE TRIGGER touched BEFORE UPDATE ON shop.goods FOR EACH ROW EXECUTE FUNCTION shop.touch();
CREATE RULE never AS ON DELETE TO shop.goods WHERE OLD.id = 0 DO INSTEAD NOTHING;
ALTER TABLE shop.goods ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON shop.goods USING (true);
COMMENT ON TABLE shop.goods IS 'what is sold';
COMMENT ON COLUMN shop.goods.name IS 'of it';
CREATE TABLE shop.lines (id int PRIMARY KEY, good bigint NOT NULL, CONSTRAINT of_good FOREIGN KEY (good) REFERENCES shop.goods ON DELETE CASCADE);
COMMENT ON CONSTRAINT of_good ON shop.lines IS 'kept as well';
CREATE TABLE shop.notes (id int PRIMARY KEY, good bigint, number bigint DEFAULT nextval('shop.numbers'));
ALTER TABLE shop.notes ADD CONSTRAINT unchecked FOREIGN KEY (good) REFERENCES shop.goods NOT VALID;
CREATE VIEW shop.cheap AS SELECT id, name FROM shop.goods WHERE price < 5;
CREATE VIEW public.cheapest AS SELECT min(id) AS id FROM shop.cheap;
CREATE MATERIALIZED VIEW shop.counted AS SELECT state, count(*) FROM shop.goods GROUP BY 1;
CREATE UNIQUE INDEX counted_state ON shop.counted (state);
CREATE TABLE shop.parts (id int, region text, good bigint REFERENCES shop.goods, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE shop.parts_eu PARTITION OF shop.parts FOR VALUES IN ('eu');
CREATE TABLE shop.parts_us PARTITION OF shop.parts FOR VALUES IN ('us');
CREATE INDEX parts_good ON shop.parts (good);
CREATE TABLE shop.heap (a int, b text);
CREATE TABLE public."Odd.Name" ("a b" int PRIMARY KEY);
CREATE POLICY by_goods ON shop.buyers USING (true);

INSERT INTO shop.buyers (email) SELECT 'b' || i FROM generate_series(1, 9) AS i;
INSERT INTO shop.goods (buyer, name, price) SELECT 1 + i % 9, 'good ' || i, i FROM generate_series(1, 50) AS i;
INSERT INTO shop.lines SELECT i, 1 + i % 50 FROM generate_series(1, 200) AS i;
INSERT INTO shop.notes (id, good) SELECT i, i FROM generate_series(1, 20) AS i;
INSERT INTO shop.parts SELECT i, CASE i % 2 WHEN 0 THEN 'eu' ELSE 'us' END, i FROM generate_series(1, 30) AS i;
INSERT INTO shop.heap SELECT i, 'x' FROM generate_series(1, 5) AS i;
REFRESH MATERIALIZED VIEW shop.counted;
