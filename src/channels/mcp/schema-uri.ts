/** What a schema resource is about: a target as a whole, one schema of it, or one relation. */
export interface SchemaUri {
  readonly target: string;
  readonly schema?: string;
  readonly object?: string;
  /** Where an agent's own token says in which of its tasks it reads. */
  readonly task?: string;
}

/** The forms of these URIs, as URI templates (RFC 6570). */
export const SCHEMA_URI_TEMPLATES = {
  target: 'postgres://{target}/schema{?task}',
  schema: 'postgres://{target}/schema/{schema}{?task}',
  object: 'postgres://{target}/schema/{schema}/{object}{?task}',
} as const;

export function schemaUri({ target, schema, object, task }: SchemaUri): string {
  const path = [target, 'schema', schema, object].flatMap((part) =>
    part === undefined ? [] : [encodeURIComponent(part)],
  );
  return `postgres://${path.join('/')}${task === undefined ? '' : `?task=${encodeURIComponent(task)}`}`;
}

/** @returns `undefined` for what is no such URI. */
export function parseSchemaUri(uri: string): SchemaUri | undefined {
  const parts = PATTERN.exec(uri)?.groups;
  if (parts === undefined) return undefined;
  try {
    const [target, schema, object, task] = ['target', 'schema', 'object', 'task'].map((part) =>
      parts[part] === undefined ? undefined : decodeURIComponent(parts[part]),
    );
    if (target === undefined) return undefined;
    return {
      target,
      ...(schema === undefined ? {} : { schema }),
      ...(object === undefined ? {} : { object }),
      ...(task === undefined ? {} : { task }),
    };
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}

const PATTERN =
  /^postgres:\/\/(?<target>[^/?#]+)\/schema(?:\/(?<schema>[^/?#]+)(?:\/(?<object>[^/?#]+))?)?(?:\?task=(?<task>[^&#]+))?$/;
