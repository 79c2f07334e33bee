import type { Readable } from 'node:stream';
import type { ListObjectVersionsCommandOutput } from '@aws-sdk/client-s3';
import { openS3, type S3, type S3Place } from './s3-client.ts';
import { addInParts } from './s3-parts.ts';
import { BackupMissing, type BackupStore, checkedName } from './store.ts';

/**
 * A bucket of an S3-compatible server whose Object Lock keeps every version that it was given (mode COMPLIANCE, by the
 * bucket's own default retention). Writing over a name and deleting it only lay other versions on top there; what was
 * stored first under a name is what is read, so that neither hides a backup.
 */
export function s3Store(place: S3Place): BackupStore {
  const { bucket, prefix } = place;
  let opened: Promise<S3> | undefined;
  const open = (): Promise<S3> => {
    opened ??= openS3(place);
    return opened;
  };
  const keyOf = (name: string) => `${prefix}${checkedName(name)}`;
  return {
    place: `s3://${bucket}/${prefix}${place.endpoint === undefined ? '' : ` at ${place.endpoint}`}`,
    async add(name, file) {
      const s3 = await open();
      const key = keyOf(name);
      if ((await firstVersion(s3, key)) !== undefined) throw new Error(`${bucket} has a ${name} already`);
      await addInParts(s3, key, file);
    },
    async read(name) {
      const s3 = await open();
      const key = keyOf(name);
      const version = await firstVersion(s3, key);
      if (version === undefined) throw new BackupMissing(name);
      const { Body: body } = await s3.client.send(
        new s3.sdk.GetObjectCommand({ Bucket: bucket, Key: key, VersionId: version }),
      );
      if (body === undefined) throw new Error(`${bucket} gave nothing for ${name}`);
      return body as Readable;
    },
    async list(within) {
      const s3 = await open();
      const below = `${keyOf(within)}/`;
      const names = new Set<string>();
      for await (const { Versions: versions, CommonPrefixes: folders } of versionPages(s3, {
        Prefix: below,
        Delimiter: '/',
      })) {
        for (const { Key: key = '' } of versions ?? []) names.add(key.slice(below.length));
        for (const { Prefix: folder = '' } of folders ?? []) names.add(folder.slice(below.length, -1));
      }
      return [...names].sort();
    },
    async tryToDestroy(name) {
      const s3 = await open();
      const key = keyOf(name);
      return tryToDestroy(s3, key, await firstVersion(s3, key));
    },
  };
}

/** @returns the version that was stored first under a name, whatever was laid over it since; `undefined` when none was. */
async function firstVersion(s3: S3, key: string): Promise<string | undefined> {
  let first: { readonly id: string; readonly atMs: number } | undefined;
  for await (const { Versions: versions } of versionPages(s3, { Prefix: key })) {
    for (const { Key, VersionId: id = 'null', LastModified: at } of versions ?? []) {
      const atMs = at?.getTime() ?? 0;
      // They come the newest first.
      if (Key === key && (first === undefined || atMs <= first.atMs)) first = { id, atMs };
    }
  }
  return first?.id;
}

async function* versionPages(
  { sdk, client, bucket }: S3,
  which: { readonly Prefix: string; readonly Delimiter?: string },
): AsyncGenerator<ListObjectVersionsCommandOutput> {
  let from: { readonly KeyMarker?: string; readonly VersionIdMarker?: string } = {};
  for (;;) {
    const page = await client.send(new sdk.ListObjectVersionsCommand({ Bucket: bucket, ...which, ...from }));
    yield page;
    const { NextKeyMarker: key, NextVersionIdMarker: version } = page;
    if (page.IsTruncated !== true || key === undefined) return;
    from = { KeyMarker: key, ...(version === undefined ? {} : { VersionIdMarker: version }) };
  }
}

async function tryToDestroy(s3: S3, key: string, version: string | undefined): Promise<readonly string[]> {
  const { sdk, client, bucket } = s3;
  const one = { Bucket: bucket, Key: key, VersionId: version };
  const worked: string[] = [];
  const attempt = async (what: string, act: () => Promise<unknown>): Promise<boolean> => {
    try {
      await act();
    } catch (error) {
      if (isRefusal(error)) return false;
      throw error;
    }
    worked.push(what);
    return true;
  };
  await attempt('shortening its retention', () =>
    client.send(
      new sdk.PutObjectRetentionCommand({
        ...one,
        BypassGovernanceRetention: true,
        Retention: { Mode: 'GOVERNANCE', RetainUntilDate: new Date(Date.now() + 60_000) },
      }),
    ),
  );
  // What is laid over it is harmless where the first version stays: then that is what is read.
  await client.send(new sdk.PutObjectCommand({ Bucket: bucket, Key: key, Body: 'x' })).catch(refusedOnly);
  if ((await firstVersion(s3, key)) !== version || version === 'null') worked.push('writing over it');
  const deleted = await attempt('deleting it', () => client.send(new sdk.DeleteObjectCommand(one)));
  if (!deleted)
    await attempt('deleting it, past its GOVERNANCE retention', () =>
      client.send(new sdk.DeleteObjectCommand({ ...one, BypassGovernanceRetention: true })),
    );
  return worked;
}

/** Told that this must not be, which is not the same as: that it couldn't be tried. */
function isRefusal(error: unknown): boolean {
  const status = (error as { readonly $metadata?: { readonly httpStatusCode?: number } }).$metadata?.httpStatusCode;
  // 400: there is no Object Lock here whose retention could be set.
  return status === 400 || status === 403 || status === 405 || status === 501;
}

function refusedOnly(error: unknown): void {
  if (!isRefusal(error)) throw error;
}
