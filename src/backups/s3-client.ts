import type { S3Client } from '@aws-sdk/client-s3';

/** A bucket, and who may write to it. */
export interface S3Place {
  readonly bucket: string;
  readonly region: string;
  /** Of a server that is not Amazon's; `undefined` for theirs. */
  readonly endpoint: string | undefined;
  /** What names begin with in the bucket; empty, or ending in a slash. */
  readonly prefix: string;
  /** `undefined`: those that the machine has (a role of the instance, a variable, a profile). */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
}

/** A client of a bucket's server, with the library that it came with. */
export interface S3 {
  readonly sdk: typeof import('@aws-sdk/client-s3');
  readonly client: S3Client;
  readonly bucket: string;
}

/** The library is loaded when the first is opened: most commands need none. */
export async function openS3({ bucket, region, endpoint, credentials }: S3Place): Promise<S3> {
  const sdk = await import('@aws-sdk/client-s3');
  const client = new sdk.S3Client({
    region,
    // Others than Amazon's are seldom reached by a name of the bucket's own.
    ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
    ...(credentials === undefined ? {} : { credentials }),
    maxAttempts: 5,
    requestHandler: { connectionTimeout: 10_000, socketTimeout: 120_000 },
    // Parts carry their MD5, which every server understands; checksums of a newer kind not all do.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  return { sdk, client, bucket };
}
