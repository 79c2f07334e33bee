import { type McpServer, ProtocolError, ProtocolErrorCode } from '@modelcontextprotocol/server';
import { asId, type TargetId } from '../../domain/ids.ts';
import { searchObjects } from '../../pipeline/browse.ts';
import { type Desk, taskOf } from './desk.ts';
import { guarded } from './guarded.ts';

/** The most that the protocol lets one answer hold (MCP, "Completion"). */
const MAX_VALUES = 100;

/** Completes the arguments of prompts and the parts of resource URIs, by what has been filled in before. */
export function offerCompletions(server: McpServer, desk: Desk): void {
  server.server.setRequestHandler('completion/complete', async ({ params }) => {
    const { name, value } = params.argument;
    const given = params.context?.arguments ?? {};
    const known = await guarded(desk, 'completion/complete', () => valuesFor(desk, name, given));
    if (known === undefined) {
      throw new ProtocolError(
        ProtocolErrorCode.InvalidParams,
        `There is nothing to complete ${JSON.stringify(name)} with.`,
      );
    }
    const wanted = value.toLowerCase();
    const matching = [...new Set(known)].filter((text) => text.toLowerCase().startsWith(wanted)).sort();
    return {
      completion: {
        values: matching.slice(0, MAX_VALUES),
        total: matching.length,
        hasMore: matching.length > MAX_VALUES,
      },
    };
  });
}

async function valuesFor(
  desk: Desk,
  name: string,
  given: Readonly<Record<string, string>>,
): Promise<readonly string[] | undefined> {
  switch (name) {
    case 'sql':
    case 'change':
    case 'question':
      return [];
    case 'task': {
      const { caller, openedTasks } = desk;
      return caller.caller === 'task' ? [caller.task.id] : openedTasks.idsOf(caller.agent);
    }
    case 'target': {
      const { caller, gateway } = desk;
      return gateway.targets(caller.caller === 'task' ? caller.task : caller.agent).map(({ target }) => target);
    }
    case 'plan': {
      const task = await taskOf(desk, given['task']);
      return 'refused' in task
        ? []
        : (await desk.gateway.plans({ task: task.id, limit: MAX_VALUES })).map(({ id }) => id);
    }
    case 'schema':
    case 'object': {
      const names = await namesOn(desk, given);
      const schema = given['schema'];
      return name === 'schema'
        ? names.map((full) => full.slice(0, full.indexOf('.')))
        : names.flatMap((full) => (full.startsWith(`${schema}.`) ? [full.slice(full.indexOf('.') + 1)] : []));
    }
    default:
      return undefined;
  }
}

async function namesOn(desk: Desk, given: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const task = await taskOf(desk, given['task']);
  const target = given['target'];
  if ('refused' in task || target === undefined) return [];
  const catalogue = await desk.gateway.visibleCatalogue(task, asId<TargetId>(target));
  if ('refused' in catalogue) return [];
  return searchObjects(catalogue, { limit: Number.POSITIVE_INFINITY }).objects.map((object) => object.name);
}
