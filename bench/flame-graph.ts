import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startSite, WORK } from '../test/fixtures/gateway.ts';
import { servers } from '../test/fixtures/postgres.ts';
import { pgbench, pointReadRate } from './pgbench.ts';

/** Where a gateway's time goes while it carries point reads: `node bench/flame-graph.ts` draws docs/profile-point-reads.svg. */
const CLIENTS = 16;
const SECONDS = 10;
const WIDTH = 1600;
const ROW = 17;
const NARROWEST = 1.5;

interface CallNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[];
}

interface CpuProfile {
  readonly nodes: readonly CallNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

interface Frame {
  readonly name: string;
  micros: number;
  readonly inner: Map<string, Frame>;
}

const [first] = servers;
if (first === undefined || pgbench === undefined) throw new Error('a server and pgbench are needed');
const profiles = mkdtempSync(join(tmpdir(), 'countersign-profile-'));
const site = await startSite(first.binaries, { scale: 0.02 });
try {
  process.env['NODE_OPTIONS'] = `--cpu-prof --cpu-prof-dir=${profiles}`;
  const served = await site.serve();
  delete process.env['NODE_OPTIONS'];
  const { postgres } = await site.openTask(WORK);
  const load = { mode: 'simple', clients: CLIENTS, seconds: SECONDS, directory: site.directory };
  const rate = await pointReadRate(`${postgres}?sslmode=disable`, load);
  await served.stop();
  const [largest = ''] = readdirSync(profiles)
    .map((name) => join(profiles, name))
    .sort((a, b) => statSync(b).size - statSync(a).size);
  const root = folded(JSON.parse(readFileSync(largest, 'utf8')) as CpuProfile);
  const page = fileURLToPath(new URL('../docs/profile-point-reads.svg', import.meta.url));
  writeFileSync(page, drawn(root, `point reads, simple protocol, ${CLIENTS} clients: where the gateway is busy`));
  process.stdout.write(`${rate.toFixed(0)} transactions a second; ${page}\n`);
} finally {
  await site.remove();
  rmSync(profiles, { recursive: true, force: true });
}

/** Calls by their callers, without the time in which there was nothing to do. */
function folded({ nodes, samples, timeDeltas }: CpuProfile): Frame {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const callerOf = new Map(nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id] as const)));
  const root: Frame = { name: 'busy', micros: 0, inner: new Map() };
  samples.forEach((id, index) => {
    const micros = timeDeltas[index] ?? 0;
    const path: string[] = [];
    for (let at: number | undefined = id; at !== undefined; at = callerOf.get(at)) {
      const node = byId.get(at);
      if (node !== undefined) path.unshift(nameOf(node));
    }
    if (path.at(-1) === '(idle)' || path.at(-1) === '(program)') return;
    root.micros += micros;
    let frame = root;
    for (const name of path.slice(1)) {
      const inner = frame.inner.get(name) ?? { name, micros: 0, inner: new Map() };
      inner.micros += micros;
      frame.inner.set(name, inner);
      frame = inner;
    }
  });
  return root;
}

function nameOf({ callFrame: { functionName, url, lineNumber } }: CallNode): string {
  const file = /(?:src|node_modules)\/(.*)$/.exec(url)?.[1];
  return file === undefined
    ? functionName || '(anonymous)'
    : `${functionName || '(anonymous)'} ${file}:${lineNumber + 1}`;
}

function drawn(root: Frame, title: string): string {
  const boxes: string[] = [];
  let deepest = 0;
  const scale = WIDTH / root.micros;
  const place = (frame: Frame, x: number, depth: number): void => {
    const width = frame.micros * scale;
    if (width < NARROWEST) return;
    deepest = Math.max(deepest, depth);
    const share = `${((100 * frame.micros) / root.micros).toFixed(1)} %`;
    const y = depth * ROW + 30;
    const shown = escaped(frame.name.slice(0, Math.floor(width / 7)));
    boxes.push(
      `<g><title>${escaped(frame.name)}: ${share}</title><rect x="${x.toFixed(1)}" y="${y}" width="${(width - 0.5).toFixed(1)}" height="${ROW - 1}" fill="${colourOf(frame.name)}"/><text x="${(x + 3).toFixed(1)}" y="${y + 12}">${width > 30 ? shown : ''}</text></g>`,
    );
    let at = x;
    for (const inner of [...frame.inner.values()].sort((a, b) => b.micros - a.micros)) {
      place(inner, at, depth + 1);
      at += inner.micros * scale;
    }
  };
  place(root, 0, 0);
  const height = (deepest + 1) * ROW + 40;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="monospace" font-size="11"><rect width="${WIDTH}" height="${height}" fill="#fff"/><text x="4" y="18" font-size="14">${escaped(title)}</text>\n${boxes.join('\n')}\n</svg>\n`;
}

/** One colour a room of the house; what is Node's own is grey. */
function colourOf(name: string): string {
  const room = / (channels|pipeline|analysis|policy|execution|engines|ledger|store)\//.exec(name)?.[1];
  const hues: Readonly<Record<string, number>> = {
    channels: 200,
    pipeline: 35,
    analysis: 110,
    execution: 60,
    engines: 275,
  };
  return room === undefined ? '#d8d8d8' : `hsl(${hues[room] ?? 330} 65% 72%)`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
