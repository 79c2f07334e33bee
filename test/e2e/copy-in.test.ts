import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bind, execute, message, parse, query, SYNC } from '../../src/engines/postgres/wire-messages.ts';
import { hasPsql, type OpenedTask, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { asSuperuser, newest } from '../fixtures/postgres.ts';
import { connectRaw, spoken } from '../fixtures/raw-client.ts';

const COPY_DONE = message('c', Buffer.alloc(0));
const rowsOf = (text: string): Buffer => message('d', Buffer.from(text));

describe.each(newest)('COPY … FROM STDIN before $name', ({ binaries }) => {
  let site: Site;
  let task: OpenedTask;
  let directory: string;

  beforeAll(async () => {
    site = await startSite(binaries, { scale: 0.1 });
    await asSuperuser(
      site.databaseUrl,
      `SELECT set_config('role', (SELECT relowner::regrole::text FROM pg_class WHERE oid = 'public.customers'::regclass), false);
       CREATE TABLE public.parcels (id int PRIMARY KEY, label text, at timestamptz DEFAULT now(), picture bytea);
       CREATE TABLE public.forbidden (id int)`,
    );
    await site.serve();
    task = await site.openTask(WORK.replace('public.notes]', 'public.notes, public.parcels]'));
    directory = mkdtempSync(join(tmpdir(), 'countersign-copy-'));
  }, 60_000);
  afterAll(async () => {
    rmSync(directory, { recursive: true, force: true });
    await site?.remove();
  });

  const parcels = async (where = 'true') =>
    Number((await asSuperuser(site.databaseUrl, `SELECT count(*) AS n FROM parcels WHERE ${where}`))[0]?.['n']);

  /** psql reading a script, as a person or a restore does. */
  function script(url: string, text: string): Promise<{ readonly stdout: string; readonly stderr: string }> {
    return new Promise((resolve) => {
      const psql = spawn('psql', ['-X', '-A', '-t', '-v', 'VERBOSITY=verbose', url], { cwd: directory });
      const said = { stdout: '', stderr: '' };
      psql.stdout.on('data', (chunk) => {
        said.stdout += chunk;
      });
      psql.stderr.on('data', (chunk) => {
        said.stderr += chunk;
      });
      psql.on('close', () => resolve(said));
      psql.stdin.end(text);
    });
  }

  it.skipIf(!hasPsql)('says what the database says, in text, CSV and binary', async () => {
    writeFileSync(join(directory, 'rows.csv'), 'id,label\n21,"a, b"\n22,\n');
    const text = String.raw`
COPY parcels (id, label) FROM STDIN;
1	one
2	\N
3	tab\there
\.
COPY parcels (id, label) FROM STDIN;
4	x
4	twice
\.
COPY parcels (id, label) FROM STDIN;
x	no number
\.
COPY parcels (id) FROM STDIN WHERE id > 11;
11
12
\.
\copy parcels (id, label) FROM rows.csv WITH (FORMAT csv, HEADER)
\copy (SELECT id, label, picture FROM parcels ORDER BY id) TO 'rows.bin' WITH (FORMAT binary)
BEGIN;
DELETE FROM parcels WHERE id < 100;
\copy parcels (id, label, picture) FROM 'rows.bin' WITH (FORMAT binary)
SELECT count(*) FROM parcels;
COMMIT;
COPY parcels FROM STDIN WITH (FORMAT nothing);
SELECT id, label FROM parcels ORDER BY id;
DELETE FROM parcels WHERE id < 1000;
`;
    const direct = await script(site.databaseUrl, text);
    const governed = await script(task.postgres, text);
    expect(governed.stdout).toBe(direct.stdout);
    expect(governed.stderr).toBe(direct.stderr);
    expect(governed.stdout).toContain('21|a, b');
  });

  it('counts the rows before the commit, and keeps none over the limit', async () => {
    const raw = await connectRaw(task.postgres);
    const copy = async (from: number, rows: number) => {
      raw.send(query('COPY parcels (id) FROM STDIN'));
      await raw.until('G');
      for (let id = from; id < from + rows; id++) raw.send(rowsOf(`${id}\n`));
      raw.send(COPY_DONE);
      return spoken(await raw.until('Z'));
    };
    expect(await copy(1000, 50)).toBe('C Z');
    expect(await copy(2000, 101)).toMatch(/^E\(CS005 These rows may not be copied/);
    expect(await copy(3000, 1)).toBe('C Z');
    await raw.close();
    expect([await parcels('id BETWEEN 1000 AND 1999'), await parcels('id BETWEEN 2000 AND 2999')]).toEqual([50, 0]);
    const ledger = await site.ask<{ entries: { kind: string; body: unknown }[] }>('ledger', 'show', '--limit', '20');
    expect(JSON.stringify(ledger)).toContain('COPY');
  });

  it('is refused before any row is sent where the task may not write', async () => {
    const raw = await connectRaw(task.postgres);
    for (const [sql, code] of [
      ['COPY forbidden FROM STDIN', 'CS002'],
      ["COPY parcels FROM '/etc/passwd'", 'CS002'],
      ["COPY parcels FROM PROGRAM 'id'", 'CS002'],
      ['COPY parcels FROM STDIN WITH (FREEZE)', 'CS008'],
      ['COPY countersign.applied FROM STDIN', 'CS002'],
      ["COPY parcels (id) FROM STDIN WHERE pg_read_file('/etc/passwd') IS NOT NULL", 'CS002'],
    ] as const) {
      raw.send(query(sql));
      expect(spoken(await raw.until('Z')), sql).toMatch(new RegExp(`^E\\(${code} `));
    }
    await raw.close();
  });

  it('is carried over the extended protocol, with the Sync ahead of the rows as libpq sends it', async () => {
    const raw = await connectRaw(task.postgres);
    const begin = [
      parse('', 'COPY parcels (id) FROM STDIN', []),
      bind({ portal: '', statement: '', formats: [], values: [], resultFormats: [] }),
      execute('', 0),
    ];
    raw.send(...begin, SYNC);
    expect(spoken(await raw.until('G'))).toBe('1 2 G');
    raw.send(rowsOf('4000\n4001\n'), COPY_DONE, SYNC);
    expect(spoken(await raw.until('Z'))).toBe('C Z');
    // The rows come without being waited for.
    raw.send(...begin, rowsOf('4002\n'), COPY_DONE, SYNC, query('SELECT 1'));
    expect(spoken(await raw.until('Z'))).toBe('1 2 G C Z');
    expect(spoken(await raw.until('Z'))).toBe('T D C Z');
    raw.send(...begin, SYNC, rowsOf('no number\n'), rowsOf('4003\n'), COPY_DONE, SYNC, query('SELECT 1'));
    expect(spoken(await raw.until('Z'))).toMatch(/^1 2 G E\(22P02 .*\) Z$/);
    expect(spoken(await raw.until('Z'))).toBe('T D C Z');
    raw.send(...begin, SYNC);
    await raw.until('G');
    raw.send(message('f', Buffer.from('changed my mind\0')), SYNC);
    expect(spoken(await raw.until('Z'))).toMatch(/^E\(57014 COPY from stdin failed: changed my mind\) Z$/);
    await raw.close();
    expect(await parcels('id BETWEEN 4000 AND 4999')).toBe(3);
  });

  it('takes rows from postgres.js, in a transaction as well', async () => {
    const sql = postgres(task.postgres, { max: 1, onnotice: () => undefined });
    try {
      const into = await sql`COPY parcels (id, label) FROM STDIN`.writable();
      into.write('5000\tfive\n');
      await new Promise((resolve) => into.end('5001\tsix\n', () => resolve(null)));
      await sql.begin(async (transaction) => {
        const more = await transaction`COPY parcels (id) FROM STDIN`.writable();
        await new Promise((resolve) => more.end('5002\n', () => resolve(null)));
      });
    } finally {
      await sql.end();
    }
    expect(await parcels('id BETWEEN 5000 AND 5999')).toBe(3);
  });

  it('holds no more than a few messages of a large copy, and passes it on whole', async () => {
    const raw = await connectRaw(task.postgres);
    raw.send(query('COPY parcels (id, label) FROM STDIN'));
    await raw.until('G');
    const label = 'x'.repeat(4 * 1024 * 1024);
    for (let id = 6000; id < 6016; id++) {
      // One message, sent in pieces that end where they please.
      const frame = rowsOf(`${id}\t${label}\n`);
      for (let at = 0; at < frame.length; at += 777_777) {
        const piece = frame.subarray(at, at + 777_777);
        if (!raw.socket.write(piece)) await new Promise((resolve) => raw.socket.once('drain', resolve));
      }
    }
    raw.send(COPY_DONE);
    expect(spoken(await raw.until('Z'))).toBe('C Z');
    await raw.close();
    expect(await parcels(`id BETWEEN 6000 AND 6999 AND label = repeat('x', ${label.length})`)).toBe(16);
  });

  it('G11 ends with a halt, a cancel request or the client, though the server waits for rows', async () => {
    const raw = await connectRaw(task.postgres);
    raw.send(query('COPY parcels (id) FROM STDIN'));
    await raw.until('G');
    raw.send(rowsOf('7000\n'));
    await site.ask('halt', '--task', task.task, '--reason', 'test');
    expect(spoken(await raw.until('Z'))).toMatch(/^E\(CS004 /);
    await site.ask('resume', '--task', task.task, '--reason', 'test');
    await sleep(300);
    raw.send(rowsOf('7001\n'), COPY_DONE, query('SELECT 1'));
    expect(spoken(await raw.until('Z'))).toBe('T D C Z');
    raw.send(query('COPY parcels (id) FROM STDIN'));
    await raw.until('G');
    raw.send(rowsOf('7002\n'), query('DROP TABLE parcels'));
    expect(spoken(await raw.closed)).toMatch(/^E\(57014 .*unexpected message type 0x51.*\) E\(08P01 [^)]*\)$/);
    const leaving = await connectRaw(task.postgres);
    leaving.send(query('COPY parcels (id) FROM STDIN'));
    await leaving.until('G');
    leaving.send(rowsOf('7003\n'));
    await sleep(50);
    leaving.socket.destroy();
    for (let waited = 0; waited < 3000; waited += 100) {
      const busy = await asSuperuser(
        site.databaseUrl,
        "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'COPY parcels%' AND state = 'active'",
      );
      if (busy.length === 0) break;
      await sleep(100);
    }
    expect(await parcels('id BETWEEN 7000 AND 7999')).toBe(0);
  });

  it('is refused over MCP and to drivers that don’t know it, and loses nothing', async () => {
    const client = new pg.Client({ connectionString: task.postgres });
    await client.connect();
    const code = await client.query('COPY parcels (id) FROM STDIN').then(
      () => 'it was not refused',
      (error: { code?: string }) => error.code,
    );
    expect(code).toBe('57014');
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await client.end();
  });
});
