import { mkdir, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { scenarioFileSchema } from './scenario-schema.ts';
import { configSchema, taskSchema } from './schema.ts';

/** The JSON Schemas that editors use, made from the schemas that the program checks with. */
export function jsonSchemas(): Readonly<Record<string, string>> {
  const text = (schema: z.ZodType, title: string) =>
    `${JSON.stringify({ title, ...z.toJSONSchema(schema, { io: 'input' }) }, null, 2)}\n`;
  return {
    'countersign.schema.json': text(configSchema, 'Countersign configuration'),
    'task.schema.json': text(taskSchema, 'Countersign task'),
    'scenario.schema.json': text(scenarioFileSchema, 'Countersign red-team scenarios'),
  };
}

if (import.meta.main) {
  const directory = new URL('../../schema/', import.meta.url);
  await mkdir(directory, { recursive: true });
  for (const [name, text] of Object.entries(jsonSchemas())) await writeFile(new URL(name, directory), text);
}
