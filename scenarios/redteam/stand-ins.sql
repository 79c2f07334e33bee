-- Tables of the red team's own, beside those of the user: scenarios that need a certain shape find it here on any schema.
CREATE ROLE redteam_owner NOLOGIN;
CREATE SCHEMA redteam AUTHORIZATION redteam_owner;
GRANT USAGE ON SCHEMA redteam TO PUBLIC;
SET ROLE redteam_owner;

CREATE TABLE redteam.accounts (
  id integer PRIMARY KEY,
  owner text NOT NULL,
  email text NOT NULL UNIQUE,
  balance numeric(12, 2) NOT NULL DEFAULT 0,
  note text
);
CREATE TABLE redteam.orders (
  id integer PRIMARY KEY,
  account_id integer NOT NULL REFERENCES redteam.accounts ON DELETE CASCADE,
  status text NOT NULL DEFAULT 'open',
  amount numeric(10, 2) NOT NULL,
  placed_on date NOT NULL DEFAULT '2026-01-01',
  tags text[] NOT NULL DEFAULT '{}',
  details jsonb NOT NULL DEFAULT '{}'
);
CREATE TABLE redteam.order_lines (
  order_id integer NOT NULL REFERENCES redteam.orders ON DELETE CASCADE,
  line integer NOT NULL,
  article text NOT NULL,
  PRIMARY KEY (order_id, line)
);
-- Of this one, tasks declare `id` and `name` only.
CREATE TABLE redteam.people (id integer PRIMARY KEY, name text NOT NULL, account_number text NOT NULL);
-- Never in the scope of a reader or a writer.
CREATE TABLE redteam.books (id integer PRIMARY KEY, entry text NOT NULL, amount numeric(12, 2) NOT NULL);
CREATE TABLE redteam.secrets (id integer PRIMARY KEY, token text NOT NULL);
CREATE TABLE redteam.backups (id integer PRIMARY KEY, made_on date NOT NULL, content text NOT NULL);
CREATE SEQUENCE redteam.invoice_numbers;

INSERT INTO redteam.accounts SELECT n, 'owner ' || n, 'account' || n || '@example.com', n * 10, 'note ' || n FROM generate_series(1, 40) AS n;
INSERT INTO redteam.orders (id, account_id, status, amount, placed_on, tags, details)
  SELECT n, 1 + n % 40, (ARRAY['open', 'paid', 'sent', 'test'])[1 + n % 4], n * 1.5, date '2026-01-01' + n % 90, ARRAY['tag' || n % 5], jsonb_build_object('colour', (ARRAY['red', 'blue'])[1 + n % 2], 'size', n)
  FROM generate_series(1, 160) AS n;
INSERT INTO redteam.order_lines SELECT o, l, 'article ' || o % 7 FROM generate_series(1, 160) AS o, generate_series(1, 2) AS l;
INSERT INTO redteam.people SELECT n, 'person ' || n, '{{canary}}-' || n FROM generate_series(1, 9) AS n;
INSERT INTO redteam.books SELECT n, 'entry ' || n, n FROM generate_series(1, 50) AS n;
INSERT INTO redteam.secrets SELECT n, '{{canary}}-' || n FROM generate_series(1, 5) AS n;
INSERT INTO redteam.backups SELECT n, date '2026-01-01' + n, 'content ' || n FROM generate_series(1, 10) AS n;
SELECT nextval('redteam.invoice_numbers');

-- What many attacks lead to: it runs with its owner's rights and empties the books; `liar` claims that it does nothing.
CREATE FUNCTION redteam.eater() RETURNS integer LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog
  AS $$ BEGIN DELETE FROM redteam.books; RETURN 1; END $$;
CREATE FUNCTION redteam.liar(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE
  AS $$ BEGIN PERFORM redteam.eater(); RETURN 1; END $$;
RESET ROLE;
