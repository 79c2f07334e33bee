/**
 * What capture does with the rows before and after one statement, or one level of a cascade: a line about all of them in
 * `pg_temp.countersign_captured`, which says how many there are and what they are by a digest; and, when a plan is
 * applied, the rows themselves in `countersign.captured_rows`, as the way back (G8).
 *
 * Each is a query over any set of rows, because a table that a plan has made itself is looked at without a trigger.
 */

/** A longer row goes into the digest by its own: what is sorted stays small. */
const LONG_BYTES = 128;

/** @param rows what stands after FROM. @param exact @param masked SQL expressions: arguments 3 and 2 of {@link CAPTURE_FUNCTION}. */
export function digestOfRows(rows: string, exact: string, masked: string): string {
  // Sorted, so that equal digests mean the same rows in whatever order they were changed. Both texts end where they say
  // themselves, and neither begins as what stands for a long one: no two sets of rows are one text.
  return `
    SELECT sha256(string_agg(image, '')) FROM (
      SELECT ${shortened('image')} AS image
      FROM (SELECT ${imageOfRow(exact, masked)} AS image FROM ${rows} AS r OFFSET 0) AS written
      ORDER BY 1) AS sorted`;
}

/** What a row `r` is in a digest. Written `r.*`, because a column may be called r too. */
function imageOfRow(exact: string, masked: string): string {
  return `CASE WHEN ${exact} THEN record_send(r.*) ELSE convert_to((to_jsonb(r.*) - ${masked})::text, 'UTF8') END`;
}

function shortened(image: string): string {
  return `CASE WHEN octet_length(${image}) > ${LONG_BYTES} THEN '\\xffffffff'::bytea || sha256(${image}) ELSE ${image} END`;
}

/**
 * A sum over each column's values, whatever the order of the rows: columns that differ between two runs are volatile.
 *
 * @param sums what {@link SUMS_OF_COLUMNS} has told.
 */
export function sumsOfRows(rows: string, sums: string): string {
  return `SELECT ARRAY[${sums}]::text[] FROM ${rows} AS r`;
}

/** Makes, from the attributes `a` of a table, the expressions that sum up its columns in their order. */
export const SUMS_OF_COLUMNS = `
  coalesce(pg_catalog.string_agg(pg_catalog.format('sum(hashtextextended(coalesce(r.%I::text, ''''), 0))::text', a.attname), ', ' ORDER BY a.attnum), '')`;

/** As many rows of a line are kept as a look at it; where there are no more, they need not be summed up. */
const SAMPLES = 3;

/** The first rows: a look, not a record. */
export function samplesOfRows(rows: string): string {
  return `SELECT array_agg(image) FROM (SELECT to_jsonb(r.*) AS image FROM ${rows} AS r LIMIT ${SAMPLES}) AS few`;
}

/** As many rows lie in one row of `countersign.captured_rows`, so that a large change costs no tuple and no key for each. */
const CHUNK = 64;

/** Rows as text (by the server's own function: a cast might be somebody's) that a cast to the table's type reads back, in arrays whose order is that of the rows. */
export function imagesOfRows(rows: string): string {
  return `
    SELECT n / ${CHUNK} AS chunk, count(*) AS rows, array_agg(image ORDER BY n) AS images
    FROM (SELECT row_number() OVER () - 1 AS n, record_out(r.*)::text AS image FROM ${rows} AS r) AS numbered GROUP BY 1`;
}

const BEFORE = 'before_rows';
const AFTER = 'after_rows';
const KEEP = 'INSERT INTO countersign.captured_rows (change, relation, op, columns, rows, before, after)';

/**
 * Everything about a statement's only row, in one query and without a sort: where a trigger for each row writes a row,
 * each is a statement of its own, and there are so many of them that a query more would be half of the cost. The digest
 * is that of {@link digestOfRows}.
 */
function captureOnlyRow(op: 'insert' | 'update' | 'delete'): string {
  const [before, after] = [op === 'insert' ? undefined : BEFORE, op === 'delete' ? undefined : AFTER];
  const row = (rows: string | undefined) =>
    rows === undefined
      ? 'SELECT NULL::bytea AS image, NULL::jsonb AS shown'
      : `SELECT ${imageOfRow('exact', 'masked')} AS image, to_jsonb(r.*) AS shown FROM ${rows} AS r OFFSET 0`;
  const text = (rows: string | undefined) =>
    rows === undefined ? 'NULL' : `ARRAY(SELECT record_out(r.*)::text FROM ${rows} AS r)`;
  const some = before ?? after;
  return `
    INSERT INTO pg_temp.countersign_captured (relation, op, rows, before, after, some_before, some_after)
    SELECT tg_argv[0], '${op}', 1, sha256(${shortened('b.image')}), sha256(${shortened('a.image')}), ARRAY[b.shown], ARRAY[a.shown]
    FROM (${row(before)}) AS b, (${row(after)}) AS a WHERE (SELECT count(*) FROM ${some}) = 1;
    IF FOUND THEN
      rows_met := 1;
      IF kept THEN
        ${KEEP} SELECT tg_argv[1], tg_argv[0], '${op}', ARRAY(SELECT json_object_keys(row_to_json(r.*)) FROM ${some} AS r), 1, ${text(before)}, ${text(after)};
      END IF;
    ELSE
      SELECT count(*) INTO rows_met FROM ${some};
    END IF;`;
}

/**
 * Arguments come with each trigger (`capture.ts`), and stand in its definition and not in settings: who changes them
 * breaks the seal. 0 `schema.name` that people know the table by · 1 the change whose rows are kept, empty in a dry run ·
 * 2 columns left out of the digest · 3 whether rows are digested in binary, else as JSON · 4 whether to sum up columns.
 *
 * Runs with its owner's rights, because foreign keys cascade with the rights of whoever owns the table. Its settings are
 * those under which text is written as it can be read back, whatever the actor's.
 */
export const CAPTURE_FUNCTION = `
CREATE OR REPLACE FUNCTION countersign.capture_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog SET datestyle = 'ISO, YMD' SET intervalstyle = 'postgres' SET timezone = 'UTC' SET extra_float_digits = 1 SET bytea_output = 'hex' SET lc_monetary = 'C'
AS $capture$
DECLARE
  kept constant boolean := tg_argv[1] <> '';
  masked constant text[] := tg_argv[2];
  exact constant boolean := tg_argv[3];
  summed constant boolean := tg_argv[4];
  rows_met bigint;
  digest_before bytea; digest_after bytea;
  some_before jsonb[]; some_after jsonb[];
  names text[];
  each_sum text;
  sums text[];
BEGIN
  IF tg_op = 'TRUNCATE' THEN
    EXECUTE format('SELECT count(*) FROM ONLY %s', tg_relid::regclass) INTO rows_met;
    EXECUTE format($q$${digestOfRows('ONLY %s', '$1', '$2')}$q$, tg_relid::regclass) INTO digest_before USING exact, masked;
    EXECUTE format($q$${samplesOfRows('ONLY %s')}$q$, tg_relid::regclass) INTO some_before;
  ELSIF tg_op = 'INSERT' THEN ${captureOnlyRow('insert')}
  ELSIF tg_op = 'UPDATE' THEN ${captureOnlyRow('update')}
  ELSE ${captureOnlyRow('delete')}
  END IF;
  IF rows_met = 0 THEN RETURN NULL; END IF;

  IF rows_met + current_setting('countersign.kept')::bigint > current_setting('countersign.max_rows')::bigint THEN
    RAISE EXCEPTION 'more than % rows would change', current_setting('countersign.max_rows') USING ERRCODE = 'CSROW';
  END IF;
  PERFORM set_config('countersign.kept', (rows_met + current_setting('countersign.kept')::bigint)::text, true);
  IF rows_met = 1 AND tg_op <> 'TRUNCATE' THEN RETURN NULL; END IF;

  -- As the table is now: the plan may have altered it.
  IF kept OR summed AND rows_met > ${SAMPLES} THEN
    SELECT array_agg(a.attname::text ORDER BY a.attnum), ${SUMS_OF_COLUMNS} INTO names, each_sum
    FROM pg_attribute AS a WHERE a.attrelid = tg_relid AND a.attnum > 0 AND NOT a.attisdropped;
  END IF;

  IF tg_op IN ('UPDATE', 'DELETE') THEN
    digest_before := (${digestOfRows(BEFORE, 'exact', 'masked')});
    some_before := (${samplesOfRows(BEFORE)});
  END IF;
  IF tg_op IN ('UPDATE', 'INSERT') THEN
    digest_after := (${digestOfRows(AFTER, 'exact', 'masked')});
    some_after := (${samplesOfRows(AFTER)});
    IF summed AND rows_met > ${SAMPLES} THEN
      EXECUTE format('${sumsOfRows(AFTER, '%s')}', each_sum) INTO sums;
    END IF;
  END IF;
  INSERT INTO pg_temp.countersign_captured (relation, op, rows, before, after, some_before, some_after, columns, sums)
  VALUES (tg_argv[0], lower(tg_op), rows_met, digest_before, digest_after, some_before, some_after, names, sums);

  IF NOT kept THEN RETURN NULL; END IF;
  IF tg_op = 'TRUNCATE' THEN
    EXECUTE format($q$${KEEP} SELECT $1, $2, 'truncate', $3, rows, images, NULL FROM (${imagesOfRows('ONLY %s')}) AS b$q$, tg_relid::regclass)
      USING tg_argv[1], tg_argv[0], coalesce(names, '{}');
  ELSIF tg_op = 'INSERT' THEN
    ${KEEP} SELECT tg_argv[1], tg_argv[0], 'insert', coalesce(names, '{}'), rows, NULL, images FROM (${imagesOfRows(AFTER)}) AS a;
  ELSIF tg_op = 'DELETE' THEN
    ${KEEP} SELECT tg_argv[1], tg_argv[0], 'delete', coalesce(names, '{}'), rows, images, NULL FROM (${imagesOfRows(BEFORE)}) AS b;
  ELSE
    ${KEEP} SELECT tg_argv[1], tg_argv[0], 'update', coalesce(names, '{}'), b.rows, b.images, a.images
    FROM (${imagesOfRows(BEFORE)}) AS b JOIN (${imagesOfRows(AFTER)}) AS a USING (chunk);
  END IF;
  RETURN NULL;
END $capture$`;

/** The SQLSTATE with which capture ends a run that changes more rows than it may keep. */
export const TOO_MANY_ROWS = 'CSROW';
