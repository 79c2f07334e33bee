import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { BackupMissing, type BackupStore, checkedName } from './store.ts';

/** A store that runs `countersign backup keep`, best on another machine. */
export function keeperStore(url: string, token: string): BackupStore {
  const base = url.replace(/\/$/, '');
  const ask = async (method: string, name: string, init: RequestInit = {}): Promise<Response> => {
    try {
      return await fetch(`${base}/v1/${checkedName(name)}`, {
        ...init,
        method,
        headers: { authorization: `Bearer ${token}`, ...init.headers },
      });
    } catch (error) {
      throw new Error(`the store of backups at ${base} does not answer`, { cause: error });
    }
  };
  const put = (name: string, file: Parameters<BackupStore['add']>[1]) =>
    ask('PUT', name, {
      body: Readable.toWeb(createReadStream(file.path)) as ReadableStream,
      duplex: 'half',
      headers: {
        'content-type': 'application/octet-stream',
        'content-length': String(file.bytes),
        'x-content-sha256': file.sha256,
      },
    } as RequestInit);
  return {
    place: base,
    async add(name, file) {
      const answer = await put(name, file);
      if (answer.status !== 201)
        throw new Error(`${base} did not take ${name}: ${answer.status} ${await answer.text()}`);
    },
    async read(name) {
      const answer = await ask('GET', name);
      if (answer.status === 404) throw new BackupMissing(name);
      if (!answer.ok || answer.body === null) throw new Error(`${base} did not give ${name}: ${answer.status}`);
      return Readable.fromWeb(answer.body as import('node:stream/web').ReadableStream);
    },
    async list(within) {
      const answer = await ask('GET', within);
      if (!answer.ok) throw new Error(`${base} did not list ${within}: ${answer.status}`);
      return ((await answer.json()) as { names: string[] }).names;
    },
    async tryToDestroy(name) {
      const worked: string[] = [];
      const deleted = await ask('DELETE', name);
      if (deleted.ok) worked.push('deleting it');
      const over = await ask('PUT', name, {
        body: 'x',
        headers: { 'content-type': 'application/octet-stream', 'x-content-sha256': X_SHA256 },
      });
      if (over.ok) worked.push('writing over it');
      return worked;
    },
  };
}

/** SHA-256 of the one letter x. */
const X_SHA256 = '2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881';
