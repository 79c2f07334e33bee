/**
 * What capture does with the rows before and after one statement, or one level of a cascade: a line about all of them in
 * `pg_temp.countersign_captured`, which says how many there are and what they are by a digest; and, when a plan is
 * applied, the rows themselves in `countersign.captured_rows`, as the way back (G8).
 *
 * Each is a query over any set of rows, because a table that a plan has made itself is looked at without a trigger.
 */

/** A longer row goes into the digest by its own: what is sorted stays small. */
const LONG_BYTES = 128;

/**
 * Sorted, so that equal digests mean the same rows in whatever order they were changed. Each form of a row ends where it
 * says itself, and none begins as what stands for a long one: no two sets of rows are one text.
 *
 * @param rows what stands after FROM.
 * @param image what a row `r` of them is.
 */
export function digestOfRows(rows: string, image: string): string {
  return `
    SELECT sha256(string_agg(image, '')) FROM (
      SELECT ${shortened('image')} AS image
      FROM (SELECT ${image} AS image FROM ${rows} AS r OFFSET 0) AS written
      ORDER BY 1) AS sorted`;
}

/** A row with some columns left out, or of a type without a binary form. Written `r.*`, because a column may be called r too. */
export function imageAsJson(masked: string): string {
  return `convert_to((to_jsonb(r.*) - ${masked})::text, 'UTF8')`;
}

const IMAGE_AS_SENT = 'record_send(r.*)';

/** Types whose binary form is always of one length (their send functions): it needs no length before it. */
const OF_ONE_LENGTH = [
  'boolean',
  '"char"',
  'smallint',
  'integer',
  'bigint',
  'oid',
  'real',
  'double precision',
  'money',
  'date',
  'time',
  'timetz',
  'timestamp',
  'timestamptz',
  'interval',
  'uuid',
];

/** So many columns fit into one call of `num_nulls`, and into one text of a sensible length. */
const MOST_COLUMNS = 90;

/**
 * Finds how the binary forms of a table's columns are laid together. `record_send` does the same in twice the time, and
 * begins all rows with the same bytes, so that sorting has to look at the whole of each.
 *
 * Sets `sent`, the columns of a row `r` in binary, and `laid`, a row made of them: a byte that says whether any is NULL,
 * then each column, with its length before it where that differs. Both are NULL where a column's binary form is made by
 * what isn't the server's own, which nobody but the server is to call, or where there are too many columns.
 */
const LAY_COLUMNS = `
    WITH parts AS (
      SELECT n, own, format('pg_catalog.%I(r.%I) AS c%s', proname, attname, n) AS sends,
             CASE WHEN short THEN format('c%s', n) ELSE format('(int4send(octet_length(c%1$s)) || c%1$s)', n) END AS part
      FROM (
        SELECT row_number() OVER (ORDER BY a.attnum) AS n, p.oid < 16384 AS own, p.proname, a.attname,
               a.atttypid IN (${OF_ONE_LENGTH.map((type) => `'${type}'::regtype`).join(', ')}) AS short
        FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid JOIN pg_proc AS p ON p.oid = t.typsend
        WHERE a.attrelid = tg_relid AND a.attnum > 0 AND NOT a.attisdropped) AS columns)
    SELECT (SELECT string_agg(sends, ', ' ORDER BY n) FROM parts),
           format($f$CASE WHEN num_nulls(%s) = 0 THEN '\\x00'::bytea || %s ELSE '\\x01'::bytea || %s END$f$,
                  (SELECT string_agg(format('c%s', n), ', ' ORDER BY n) FROM parts),
                  -- A few at a time: one after the other, the first would be copied as often as there are columns.
                  (SELECT string_agg(few, ' || ' ORDER BY place) FROM (SELECT (n - 1) / 8 AS place, '(' || string_agg(part, ' || ' ORDER BY n) || ')' AS few FROM parts GROUP BY 1) AS fews),
                  (SELECT string_agg(format($f$CASE WHEN c%s IS NULL THEN '\\x00'::bytea ELSE '\\x01'::bytea || %s END$f$, n, part), ' || ' ORDER BY n) FROM parts))
    INTO sent, laid
    WHERE (SELECT bool_and(own) AND count(*) BETWEEN 1 AND ${MOST_COLUMNS} FROM parts);`;

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

/** As many rows lie in one row of `countersign.captured_rows`, so that a large change costs no tuple and no key for each. Narrow ones fit into a page. */
const CHUNK = 48;

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
 * each is a statement of its own, and there are so many of them that a query more would be half of the cost.
 */
function captureOnlyRow(op: 'insert' | 'update' | 'delete'): string {
  const [before, after] = [op === 'insert' ? undefined : BEFORE, op === 'delete' ? undefined : AFTER];
  const row = (rows: string | undefined) =>
    rows === undefined
      ? 'SELECT NULL::bytea AS image, NULL::jsonb AS shown'
      : `SELECT CASE WHEN exact THEN ${IMAGE_AS_SENT} ELSE ${imageAsJson('masked')} END AS image, to_jsonb(r.*) AS shown FROM ${rows} AS r OFFSET 0`;
  const text = (rows: string | undefined) =>
    rows === undefined ? 'NULL' : `ARRAY(SELECT record_out(r.*)::text FROM ${rows} AS r)`;
  const some = before ?? after;
  return `
    INSERT INTO pg_temp.countersign_captured (relation, op, rows, before, after, some_before, some_after)
    SELECT tg_argv[0], '${op}', 1, sha256(${shortened('b.image')}), sha256(${shortened('a.image')}), ARRAY[b.shown], ARRAY[a.shown]
    FROM (${row(before)}) AS b, (${row(after)}) AS a WHERE (SELECT count(*) FROM (SELECT FROM ${some} LIMIT 2) AS few) = 1;
    IF FOUND THEN
      rows_met := 1;
      IF kept THEN
        ${KEEP} SELECT tg_argv[1], tg_argv[0], '${op}', ARRAY(SELECT json_object_keys(row_to_json(r.*)) FROM ${some} AS r), 1, ${text(before)}, ${text(after)};
      END IF;
    ELSE
      SELECT count(*) INTO rows_met FROM ${some};
    END IF;`;
}

/** @param rows an SQL expression: what stands after FROM. */
function digestInto(variable: string, rows: string): string {
  return `EXECUTE format($q$${digestOfRows('%2$s%3$s%4$s', '%1$s')}$q$, image_of, rows_of[1], ${rows}, rows_of[2]) INTO ${variable} USING masked;`;
}

/**
 * Arguments come with each trigger (`capture.ts`), and stand in its definition and not in settings: who changes them
 * breaks the seal. 0 `schema.name` that people know the table by · 1 the change whose rows are kept, empty in a dry run ·
 * 2 columns left out of the digest · 3 whether rows are digested in binary, else as JSON · 4 whether to sum up columns.
 *
 * Runs with its owner's rights, because foreign keys cascade with the rights of whoever owns the table. Its settings are
 * those under which text is written as it can be read back, whatever the actor's. `pg_temp` is named last: where it isn't
 * named, a plan's own temporary `pg_attribute` would be taken for the server's (PostgreSQL, CREATE FUNCTION, "Writing
 * SECURITY DEFINER Functions Safely").
 */
export const CAPTURE_FUNCTION = `
CREATE OR REPLACE FUNCTION countersign.capture_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' SET intervalstyle = 'postgres' SET timezone = 'UTC' SET extra_float_digits = 1 SET bytea_output = 'hex' SET lc_monetary = 'C'
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
  sent text;
  laid text;
  image_of text; rows_of text[];
BEGIN
  IF tg_op = 'TRUNCATE' THEN
    EXECUTE format('SELECT count(*) FROM ONLY %s', tg_relid::regclass) INTO rows_met;
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

  IF exact THEN ${LAY_COLUMNS}
  END IF;
  image_of := CASE WHEN laid IS NOT NULL THEN laid WHEN exact THEN '${IMAGE_AS_SENT}' ELSE $q$${imageAsJson('$1')}$q$ END;
  rows_of := CASE WHEN laid IS NULL THEN '{"",""}' ELSE ARRAY['(SELECT ' || sent || ' FROM ', ' AS r OFFSET 0)'] END;
  IF tg_op = 'TRUNCATE' THEN
    ${digestInto('digest_before', "'ONLY ' || tg_relid::regclass")}
  END IF;
  IF tg_op IN ('UPDATE', 'DELETE') THEN
    ${digestInto('digest_before', `'${BEFORE}'`)}
    some_before := (${samplesOfRows(BEFORE)});
  END IF;
  IF tg_op IN ('UPDATE', 'INSERT') THEN
    ${digestInto('digest_after', `'${AFTER}'`)}
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
