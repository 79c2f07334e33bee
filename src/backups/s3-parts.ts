import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import type { S3 } from './s3-client.ts';

const PART_BYTES = 8 * 1024 * 1024;
/** "Amazon S3 multipart upload limits" */
const MOST_PARTS = 10_000;

/**
 * Stores a file in parts, one in memory at a time. What an upload that was cut off has already brought there is asked of
 * the server and not sent again, if it is the same.
 *
 * Small files go this way too: what `doctor` tries on a file of a few bytes then holds for all.
 */
export async function addInParts(
  { sdk, client, bucket }: S3,
  key: string,
  { path, bytes }: { readonly path: string; readonly bytes: number },
): Promise<void> {
  const object = { Bucket: bucket, Key: key };
  const partBytes = Math.max(PART_BYTES, Math.ceil(bytes / MOST_PARTS));
  const upload = (await begunUpload({ sdk, client, bucket }, key)) ?? (await begin());
  const there = await partsOf({ sdk, client, bucket }, key, upload);
  const file = await open(path);
  try {
    const sent: { PartNumber: number; ETag: string }[] = [];
    for (let number = 1; number === 1 || (number - 1) * partBytes < bytes; number++) {
      const part = await readPart(
        file,
        (number - 1) * partBytes,
        Math.min(partBytes, bytes - (number - 1) * partBytes),
      );
      sent.push({ PartNumber: number, ETag: await send(number, part, there.get(number)) });
    }
    await client.send(
      new sdk.CompleteMultipartUploadCommand({ ...object, UploadId: upload, MultipartUpload: { Parts: sent } }),
    );
  } finally {
    await file.close();
  }

  async function begin(): Promise<string> {
    const { UploadId: id } = await client.send(
      new sdk.CreateMultipartUploadCommand({ ...object, ContentType: 'application/octet-stream' }),
    );
    if (id === undefined) throw new Error(`${bucket} began no upload of ${key}`);
    return id;
  }

  async function send(number: number, part: Buffer, known: Part | undefined): Promise<string> {
    const md5 = createHash('md5').update(part).digest();
    // An ETag is the MD5 except under some kinds of encryption at rest; there the part is sent once more.
    if (known?.bytes === part.length && known.etag.replaceAll('"', '') === md5.toString('hex')) return known.etag;
    const { ETag: etag } = await client.send(
      new sdk.UploadPartCommand({
        ...object,
        UploadId: upload,
        PartNumber: number,
        Body: part,
        ContentMD5: md5.toString('base64'),
      }),
    );
    if (etag === undefined) throw new Error(`${bucket} did not acknowledge part ${number} of ${key}`);
    return etag;
  }
}

/** @returns the upload of this name that was begun last and never finished. */
async function begunUpload({ sdk, client, bucket }: S3, key: string): Promise<string | undefined> {
  let newest: { readonly id: string | undefined; readonly atMs: number } | undefined;
  for await (const { Uploads: uploads } of listUploads())
    for (const { Key, UploadId: id, Initiated: at } of uploads ?? []) {
      const atMs = at?.getTime() ?? 0;
      if (Key === key && (newest === undefined || atMs >= newest.atMs)) newest = { id, atMs };
    }
  return newest?.id;

  async function* listUploads() {
    let from: { readonly KeyMarker?: string; readonly UploadIdMarker?: string } = {};
    for (;;) {
      const page = await client.send(new sdk.ListMultipartUploadsCommand({ Bucket: bucket, Prefix: key, ...from }));
      yield page;
      if (page.IsTruncated !== true || page.NextKeyMarker === undefined) return;
      from = {
        KeyMarker: page.NextKeyMarker,
        ...(page.NextUploadIdMarker === undefined ? {} : { UploadIdMarker: page.NextUploadIdMarker }),
      };
    }
  }
}

interface Part {
  readonly etag: string;
  readonly bytes: number;
}

/** @returns by their numbers, those that have arrived. */
async function partsOf({ sdk, client, bucket }: S3, key: string, upload: string): Promise<ReadonlyMap<number, Part>> {
  const there = new Map<number, Part>();
  let after: string | undefined;
  // The library's own paging goes on for as long as there is a marker, and some servers always give one.
  for (;;) {
    const page = await client.send(
      new sdk.ListPartsCommand({ Bucket: bucket, Key: key, UploadId: upload, PartNumberMarker: after }),
    );
    for (const { PartNumber: number = 0, ETag: etag = '', Size: bytes = 0 } of page.Parts ?? [])
      there.set(number, { etag, bytes });
    if (page.IsTruncated !== true) return there;
    after = page.NextPartNumberMarker;
  }
}

async function readPart(file: FileHandle, position: number, bytes: number): Promise<Buffer> {
  const part = Buffer.alloc(bytes);
  let read = 0;
  while (read < bytes) {
    const { bytesRead } = await file.read(part, read, bytes - read, position + read);
    if (bytesRead === 0) throw new Error('the file has become shorter while it was stored');
    read += bytesRead;
  }
  return part;
}
