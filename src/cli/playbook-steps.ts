import { COPY_PORT } from '../backups/physical/unpack.ts';
import type { Target } from '../domain/target.ts';
import { findServerBinaries } from '../engines/postgres/server-binaries.ts';
import type { KnownBackup } from '../ledger/known-backups.ts';
import { seconds } from './backup-texts.ts';

/** What is done in an incident, by whom, and with what exactly. */
export interface PlaybookStep {
  readonly what: string;
  readonly owner: string;
  readonly commands: readonly string[];
  readonly note?: string;
}

/** A table, or all of it, out of a dump. */
export function fromDump(target: Target, proven: KnownBackup, table: string | undefined): readonly PlaybookStep[] {
  const { endpoint, owner } = target;
  const server = serverOf(target);
  const fetched = `./${proven.backup}`;
  const restored = 'recovered';
  return [
    {
      what:
        table === undefined
          ? 'Else bring the backup beside the live database'
          : `Else bring ${table} beside the live one`,
      owner,
      commands: [
        `countersign backup fetch ${proven.backup} --to ${fetched}`,
        `createdb ${server} -T template0 ${restored}`,
        `pg_restore -j 2 --no-owner --no-privileges --exit-on-error ${server} -d ${restored} ${table === undefined ? '' : `${only(table)} `}${fetched}`,
      ],
      note: tookNote(proven),
    },
    {
      what: 'Compare, and put back what is missing',
      owner,
      commands: [
        `pg_dump ${server} -d ${restored} --data-only ${asked(table)} > missing.sql`,
        `psql ${server} -d ${endpoint.database} -1 -f missing.sql`,
      ],
      note: `${ROWS_THERE} A database that was replaced as a whole is another one to Countersign: pin it with countersign init.`,
    },
  ];
}

/** A table, or all of it, out of a copy of the server's files: a second server that is started beside the live one. */
export function fromCopy(target: Target, proven: KnownBackup, table: string | undefined): readonly PlaybookStep[] {
  const { endpoint, owner } = target;
  const { major, superuser } = proven.server ?? { major: 0, superuser: 'postgres' };
  const directory = findServerBinaries(major)?.directory;
  const pgCtl = directory === undefined ? 'pg_ctl' : `${directory}/pg_ctl`;
  const [fetched, data] = [`./${proven.backup}`, `"$PWD/${proven.backup}/data"`];
  const copy = `-h ${data} -p ${COPY_PORT} -U ${superuser} -d ${endpoint.database}`;
  return [
    {
      what: `Else start the backup as a server beside the live one${table === undefined ? '' : `, for ${table}`}`,
      owner,
      commands: [
        `countersign backup fetch ${proven.backup} --to ${fetched}`,
        `${pgCtl} -D ${data} -w -t 86400 -l ${fetched}/server.log start`,
        `until pg_isready -q -h ${data} -p ${COPY_PORT}; do sleep 1; done      # it recovers, and lets nobody in before`,
      ],
      note: `As an ordinary account on a machine with PostgreSQL ${major}. It is reached through a socket in its own directory alone, and sends nothing anywhere. ${tookNote(proven)}`,
    },
    {
      what: 'Compare, and put back what is missing',
      owner,
      commands: [
        `pg_dump ${copy} --data-only ${asked(table)} > missing.sql`,
        `psql ${serverOf(target)} -d ${endpoint.database} -1 -f missing.sql`,
        `${pgCtl} -D ${data} -w stop`,
      ],
      note: ROWS_THERE,
    },
    {
      what: 'Or put it in the live server’s place, where that is lost as a whole',
      owner,
      commands: [
        `psql ${copy} -c 'SELECT pg_is_in_recovery()'      # f: it is where it was hashed`,
        `${pgCtl} -D ${data} -w stop`,
        `cp ${fetched}/data/postgresql.conf.of-the-source ${fetched}/data/postgresql.conf      # likewise postgresql.auto.conf, pg_hba.conf, pg_ident.conf, where they are there`,
      ],
      note: `Then move ${fetched}/data to where the server’s data lay (keep the old), and start it there. All databases of the server go back to ${proven.at}. At the same address it is still the pinned target.`,
    },
  ];
}

const ROWS_THERE = 'Rows that are still there make it fail as a whole (-1): then copy only those that are missing.';

function serverOf({ endpoint }: Target): string {
  return `-h ${endpoint.host} -p ${endpoint.port}`;
}

function asked(table: string | undefined): string {
  return table === undefined ? '-t SCHEMA.TABLE' : `-t ${table}`;
}

function tookNote({ drill, at }: KnownBackup): string {
  const took =
    drill === null
      ? ''
      : `The drill of ${drill.at} took ${seconds(drill.fetchMs)} to fetch and ${seconds(drill.restoreMs)} to restore all of it. `;
  return `${took}What was committed after ${at} is not in it.`;
}

/** Only its rows and definition: what points to it is in the live database. */
function only(table: string): string {
  const dot = table.indexOf('.');
  return dot === -1 ? `-t ${table}` : `-n ${table.slice(0, dot)} -t ${table.slice(dot + 1)}`;
}
