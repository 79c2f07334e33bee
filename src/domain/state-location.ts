/** Where the state lies: a file for the gateways of one machine, or a PostgreSQL server for those of several. */
export type StateLocation = `sqlite:${string}` | PostgresState;

export interface PostgresState {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  /** Asked for at each connection. */
  readonly password?: () => string;
  readonly tls: 'disable' | 'require' | 'verify-full';
  /** Certificates of the authorities that may vouch for the server, PEM; those of the system when left out. */
  readonly tlsAuthorities?: string;
  /** For how long a node may go on without having heard from the store (G11). */
  readonly leaseMs: number;
  /** Where this machine keeps the newest checkpoint that it knows: out of reach of who could set the server back. */
  readonly checkpointFile: string;
}

export const DEFAULT_LEASE_MS = 5000;
