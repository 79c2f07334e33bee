import type { Digest, EnvironmentId, Instant, TargetId } from './ids.ts';
import type { Recurring } from './recurring.ts';

/** The newest backup of a target that a drill has proven: what would bring it back if nothing else does. */
export interface ProvenBackup {
  readonly backup: string;
  /** What was committed later isn't in it. */
  readonly at: Instant;
  readonly drilledAt: Instant;
  /** What fetching and restoring all of it took in that drill. */
  readonly recoveryMs: number;
}

/** What a table held in the snapshot that a backup was made of. */
export interface TableContent {
  /** `schema.name` */
  readonly table: string;
  readonly rows: number;
  /** The same for the same rows in any order. */
  readonly hash: string;
}

export interface SequenceContent {
  readonly sequence: string;
  /** `null` where none was taken yet. */
  readonly lastValue: string | null;
}

/** What was in a database at one moment: two of them are equal when nothing is missing and nothing is another. */
export interface Content {
  readonly tables: readonly TableContent[];
  readonly sequences: readonly SequenceContent[];
  readonly largeObjects: number;
  /** Of all of them by their ids; `null` where there are none. Backups from before it was taken have none. */
  readonly largeObjectsHash?: string | null;
  /** Digest of each object's definition, by `kind name`. */
  readonly definitions: Readonly<Record<string, string>>;
}

/** A file of a backup as it lies in the store: encrypted. */
export interface BackupFile {
  readonly name: string;
  /** Of the encrypted file. */
  readonly bytes: number;
  readonly sha256: string;
}

/** `logical`: what `pg_dump` writes of one database. `physical`: the files of the whole server (`pg_basebackup`). */
export const BACKUP_METHODS = ['logical', 'physical'] as const;
export type BackupMethod = (typeof BACKUP_METHODS)[number];

/** What a copy of a server's files needs to be brought to the very moment that its hashes were taken at. */
export interface PhysicalCopy {
  readonly systemIdentifier: string;
  readonly databaseOid: number;
  readonly database: string;
  /** The role that the server was made with: the only one that is sure to be there. */
  readonly superuser: string;
  /** Recovery ends before the first record from here on. */
  readonly untilLsn: string;
  /** Which transactions the hashes saw, as `pg_current_snapshot()` writes it. */
  readonly snapshot: string;
  /** Tables that come back empty, because their rows are in no log ("Unlogged tables"). */
  readonly unlogged: readonly string[];
  /** Recovery needs no less than the server had. */
  readonly settings: Readonly<Record<string, string>>;
}

/** What a backup says of itself. Written last: a backup without it was never finished, and is none. */
export interface BackupManifest {
  readonly v: 1;
  readonly id: string;
  readonly target: TargetId;
  readonly environment: EnvironmentId;
  /** Of the database that it was made of, pinned (G9). */
  readonly identity: Digest;
  readonly serverMajor: number;
  /** What the database took; backups from before it was noted don't say. */
  readonly databaseBytes?: number;
  /** When its snapshot was taken: what was committed later isn't in it. */
  readonly at: Instant;
  /** Roles that own or may use something in it; a scratch server needs them to restore. */
  readonly roles: readonly string[];
  readonly content: Content;
  /** Of a copy of the server's files; a dump has none. */
  readonly physical?: PhysicalCopy;
  readonly files: readonly BackupFile[];
}

/** How a restore into a scratch server went. Only a drill that passed makes a backup count (G10). */
export interface DrillResult {
  readonly passed: boolean;
  /** What is wrong, the first of it; empty when it passed. */
  readonly problems: readonly string[];
  readonly tables: number;
  readonly rows: number;
  /** What recovery would take. */
  readonly fetchMs: number;
  readonly restoreMs: number;
  readonly compareMs: number;
}

/** How old what would bring a target back is, and how it goes with what makes it by itself. */
export interface BackupFigures {
  readonly target: TargetId;
  /** When the newest was made; `null`: there is none. */
  readonly madeMs: number | null;
  /** When a drill of any passed last. */
  readonly drilledMs: number | null;
  /** What a gateway does by itself, as it is scheduled. */
  readonly works: readonly {
    readonly name: 'backup' | 'drill';
    readonly recurring: Recurring;
    /** When it was done last, however it ended. */
    readonly lastMs: number | null;
    /** In a row, and why the last. */
    readonly failures: number;
    readonly why: string | null;
    readonly triedMs: number;
  }[];
}
