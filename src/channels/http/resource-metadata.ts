import type { FastifyInstance } from 'fastify';
import { sendError } from './http-error.ts';

/** `/mcp` as a protected resource of OAuth 2.1: where clients get tokens for it. */
export interface ProtectedResource {
  /** What tokens must be made for. */
  readonly resource: string;
  readonly issuers: readonly string[];
}

const WELL_KNOWN = '/.well-known/oauth-protected-resource';

/** Tells clients where to get a token (RFC 9728 §3.1): the path of the resource comes after the well-known one. */
export function serveResourceMetadata(app: FastifyInstance, resource: () => ProtectedResource | undefined): void {
  for (const path of [WELL_KNOWN, `${WELL_KNOWN}/mcp`]) {
    app.get(path, async (_request, reply) => {
      const known = resource();
      if (known === undefined) {
        return sendError(reply, 404, {
          code: 'no_issuer',
          message: 'No issuer of tokens is configured for /mcp.',
          hint: 'A person opens a task with `countersign task open`; send its token as `Authorization: Bearer …`.',
        });
      }
      return {
        resource: known.resource,
        resource_name: 'Countersign',
        authorization_servers: known.issuers,
        bearer_methods_supported: ['header'],
      };
    });
  }
}

/** What a challenge adds, so that a client finds the metadata (RFC 9728 §5.1). */
export function metadataParameter(resource: ProtectedResource | undefined): string {
  return resource === undefined ? '' : `, resource_metadata="${new URL(resource.resource).origin}${WELL_KNOWN}/mcp"`;
}
