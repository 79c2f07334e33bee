import { X509Certificate } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Config } from '../config/load.ts';
import { newestEntryAt } from '../ledger/newest-entry.ts';
import { openStore } from '../store/open-store.ts';
import { checkpointFile } from '../store/sqlite-store.ts';
import type { OwnFile } from './files.ts';
import { ownFiles } from './look-around.ts';
import type { Machine } from './machine.ts';
import type { OwnCertificate } from './tls.ts';

/** What the gateway's machine and its state are like now. Opens the state to read only. */
export async function readMachine(config: Config, nowMs: number): Promise<Machine> {
  const machine = { nodeVersion: process.versions.node, nowMs, freeBytes: freeBytes(config) };
  const path = statePath(config);
  const name = path ?? 'on PostgreSQL';
  const unknown = { name, newestEntryMs: null, clockAheadMs: 0 };
  // Made when something is first recorded; a checkpoint beside it says that there was something.
  if (path !== null && !existsSync(path) && !existsSync(checkpointFile(path))) {
    return { ...machine, state: { ...unknown, trouble: null } };
  }
  try {
    const store = await openStore(config.state, { readOnly: true, mayWait: true });
    try {
      const newestEntryMs = await newestEntryAt(store);
      const beforeMs = Date.now();
      const theirsMs = await store.nowMs();
      const clockAheadMs = Math.round(theirsMs - (beforeMs + Date.now()) / 2);
      return { ...machine, state: { name, newestEntryMs, clockAheadMs, trouble: null } };
    } finally {
      await store.close();
    }
  } catch (error) {
    return { ...machine, state: { ...unknown, trouble: error instanceof Error ? error.message : String(error) } };
  }
}

/** `null` when the state lies on a server. */
function statePath(config: Config): string | null {
  return typeof config.state === 'string' ? config.state.slice('sqlite:'.length) : null;
}

/** On the disk where what the gateway writes lies: the state, or the newest checkpoint of it. */
function freeBytes(config: Config): number {
  const folder = dirname(typeof config.state === 'string' ? (statePath(config) ?? '') : config.state.checkpointFile);
  const { bavail, bsize } = statfsSync(existsSync(folder) ? folder : config.directory);
  return bavail * bsize;
}

export function readOwnTls({ tls }: Config): { required: boolean; certificate: OwnCertificate | string } | null {
  if (tls === null) return null;
  try {
    const parsed = new X509Certificate(readFileSync(tls.certificate));
    const certificate = {
      expiresAt: new Date(parsed.validTo),
      selfSigned: parsed.checkIssued(parsed),
    };
    return { required: tls.required, certificate };
  } catch (error) {
    return { required: tls.required, certificate: error instanceof Error ? error.message : String(error) };
  }
}

/** What nobody else may read, and what nobody else may write. */
export function filesOf(config: Config): OwnFile[] {
  const state = statePath(config);
  const kept =
    typeof config.state === 'string'
      ? ['', '-wal', '-shm', '.checkpoint'].map((end) => `${state}${end}`)
      : [config.state.checkpointFile];
  const inState = kept.filter(existsSync);
  const secrets = [
    join(config.directory, 'secrets'),
    join(config.directory, 'keys/people'),
    join(config.directory, 'keys/agents'),
  ];
  const keys = [config.ledgerKey, ...(config.tls === null ? [] : [config.tls.key])];
  return [
    ...[config.file, config.policies].flatMap((path) => ownFiles(path, 'rule')),
    ...[...keys, ...inState].flatMap((path) => ownFiles(path, 'secret')),
    // Public keys lie beside private ones, and may be read.
    ...secrets
      .filter(existsSync)
      .flatMap((path) => ownFiles(path, 'secret').filter((file) => !file.path.endsWith('.pub'))),
  ];
}

export function peopleKeys({ directory }: Config): string[] {
  const folder = join(directory, 'keys/people');
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith('.key'))
    .map((name) => `keys/people/${name}`);
}
