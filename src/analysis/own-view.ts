import type { OwnView } from '../domain/effect.ts';
import type { Findings } from './findings.ts';
import type { Tree } from './parse.ts';

const OWN_VIEW = /^(?:countersign|"countersign")\s*\.\s*(?:plans|status|"plans"|"status")(?![\w$"])/i;

/** `countersign.plans` and `countersign.status`, where they stand in the text in plain sight. */
export function ownViewAt({ ownViews, text }: Findings, node: Tree): OwnView | undefined {
  const view = node['relname'];
  if (ownViews === null || (view !== 'plans' && view !== 'status')) return undefined;
  const start = Number(node['location'] ?? 0);
  const [written] = OWN_VIEW.exec(Buffer.from(text, 'utf8').subarray(start).toString('utf8')) ?? [];
  if (written === undefined) return undefined;
  return { view, start, end: start + Buffer.byteLength(written), named: node['alias'] !== undefined };
}
