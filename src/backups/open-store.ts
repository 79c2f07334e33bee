import { directoryStore } from './directory-store.ts';
import { keeperStore } from './keeper-store.ts';
import { resticStore } from './restic-store.ts';
import { s3Store } from './s3-store.ts';
import type { BackupStore } from './store.ts';

interface Secret {
  reveal(): string;
}

/** As the configuration names it. */
export type StorePlace =
  | { readonly directory: string }
  | { readonly keeper: string; readonly token: Secret }
  | { readonly s3: S3Configured }
  | { readonly restic: ResticConfigured };

interface S3Configured {
  readonly bucket: string;
  readonly region: string;
  readonly endpoint: string | undefined;
  readonly prefix: string;
  readonly credentials: { readonly accessKeyId: Secret; readonly secretAccessKey: Secret } | undefined;
}

interface ResticConfigured {
  readonly url: string;
  readonly password: Secret;
  readonly login: { readonly user: string; readonly password: Secret } | undefined;
}

/** Its secrets are revealed here. */
export function openStore(place: StorePlace): BackupStore {
  if ('directory' in place) return directoryStore(place.directory);
  if ('keeper' in place) return keeperStore(place.keeper, place.token.reveal());
  if ('restic' in place) {
    const { url, password, login } = place.restic;
    return resticStore({
      url,
      password: password.reveal(),
      login: login === undefined ? undefined : { user: login.user, password: login.password.reveal() },
    });
  }
  const { credentials, ...bucket } = place.s3;
  return s3Store({
    ...bucket,
    credentials:
      credentials === undefined
        ? undefined
        : {
            accessKeyId: credentials.accessKeyId.reveal(),
            secretAccessKey: credentials.secretAccessKey.reveal(),
          },
  });
}
