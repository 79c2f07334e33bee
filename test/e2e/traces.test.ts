import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mcpClient, type OpenedTask, type Served, type Site, startSite, WORK } from '../fixtures/gateway.ts';
import { servers } from '../fixtures/postgres.ts';
import { countersign } from '../fixtures/run-command.ts';

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly attributes: Readonly<Record<string, unknown>>;
}

interface OtlpValue {
  readonly stringValue?: string;
  readonly intValue?: number;
  readonly boolValue?: boolean;
  readonly arrayValue?: unknown;
}

/** Takes spans by OTLP/HTTP in JSON, as a collector does. */
async function startCollector() {
  const bodies: string[] = [];
  const server: Server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.once('end', () => {
      if (request.url === '/v1/traces') bodies.push(body);
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const spans = (): Span[] =>
    bodies.flatMap((body) =>
      JSON.parse(body).resourceSpans.flatMap((resource: { scopeSpans: { spans: Span[] }[] }) =>
        resource.scopeSpans.flatMap((scope) =>
          scope.spans.map((span) => ({
            ...span,
            attributes: Object.fromEntries(
              (span.attributes as unknown as { key: string; value: OtlpValue }[]).map(({ key, value }) => [
                key,
                value.stringValue ?? value.intValue ?? value.boolValue ?? value.arrayValue,
              ]),
            ),
          })),
        ),
      ),
    );
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    raw: () => bodies.join('\n'),
    spans,
    /** Waits until a span is there. */
    async span(name: string, wanted: (span: Span) => boolean): Promise<Span> {
      for (let tries = 0; tries < 60; tries++) {
        const found = spans().find((span) => span.name === name && wanted(span));
        if (found !== undefined) return found;
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
      throw new Error(`no such span ${name}; there are: ${spans().map((span) => span.name)}`);
    },
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}

const [server] = servers;
const TRACE = 'a1b2c3d4e5f60718293a4b5c6d7e8f90';
const traceparent = (trace: string) => `00-${trace}-00f067aa0ba902b7-00`;

describe.runIf(server !== undefined)('traces from intent to outcome', () => {
  let site: Site;
  let gateway: Served;
  let task: OpenedTask;
  let client: pg.Client;
  let collector: Awaited<ReturnType<typeof startCollector>>;

  beforeAll(async () => {
    if (server === undefined) return;
    collector = await startCollector();
    process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = collector.url;
    site = await startSite(server.binaries);
    gateway = await site.serve();
    task = await site.openTask(WORK);
    client = new pg.Client({ connectionString: task.postgres });
    client.on('error', () => undefined);
    await client.connect();
  }, 60_000);
  afterAll(async () => {
    delete process.env['OTEL_EXPORTER_OTLP_ENDPOINT'];
    await client?.end();
    await site?.remove();
    await collector?.close();
  });

  const children = (parent: Span) =>
    collector
      .spans()
      .filter((span) => span.traceId === parent.traceId && span.parentSpanId === parent.spanId)
      .map((span) => span.name);

  it('shows a read: intent, analyse, decide, execute', async () => {
    await client.query("SELECT full_name FROM public.customers WHERE email = 'marker-of-a-value@example.com'");
    const intent = await collector.span('intent', (span) => span.attributes['countersign.verdict'] === 'run');
    expect(intent.attributes).toMatchObject({
      'db.system.name': 'postgresql',
      'db.query.summary': 'SELECT public.customers',
      'countersign.task.id': task.task,
      'countersign.channel': 'pgwire',
    });
    expect(children(intent)).toEqual(expect.arrayContaining(['analyse', 'decide', 'execute']));
  });

  it('joins the trace that a comment in the statement names, in both protocols', async () => {
    await client.query(`SELECT 1 /*traceparent='${traceparent(TRACE)}'*/`);
    await client.query(`SELECT $1::int /*traceparent='${traceparent(TRACE.replace('a1', 'b1'))}'*/`, [1234567891]);
    await collector.span('intent', (span) => span.traceId === TRACE && span.parentSpanId === '00f067aa0ba902b7');
    const extended = await collector.span('intent', (span) => span.traceId === TRACE.replace('a1', 'b1'));
    expect(children(extended)).toContain('execute');
  });

  it('shows a write: measured and proven before it is committed', async () => {
    await client.query("UPDATE public.customers SET full_name = 'marker-of-a-value' WHERE id = 3");
    const intent = await collector.span('intent', (span) => span.attributes['db.operation.name'] === 'UPDATE');
    const measure = await collector.span('measure', (span) => span.parentSpanId === intent.spanId);
    expect(measure.attributes['countersign.change.id']).toMatch(/^intent_/);
    expect(children(measure).filter((name) => name === 'prove')).toHaveLength(2);
  });

  it('shows what was held, approved by another process, and applied, by the id of the plan', async () => {
    await expect(
      client.query("DELETE FROM public.customers WHERE full_name <> 'marker-of-a-value'"),
    ).rejects.toMatchObject({
      code: 'CS001',
    });
    const intent = await collector.span('intent', (span) => span.attributes['countersign.outcome'] === 'held');
    const plan = String(intent.attributes['countersign.plan.id']);
    expect(plan).toMatch(/^sha256:/);
    const hold = await collector.span('hold', (span) => span.attributes['countersign.plan.id'] === plan);
    expect(hold.traceId).toBe(intent.traceId);
    expect(children(hold)).toEqual(expect.arrayContaining(['dry run', 'decide', 'prove']));

    await site.ask('plan', 'approve', plan, '--as', 'ada', '--reason', 'seen');
    await collector.span('approve', (span) => span.attributes['countersign.plan.id'] === plan);
    await site.ask('plan', 'apply', plan, '--as', 'ada');
    const apply = await collector.span('apply', (span) => span.attributes['countersign.plan.state'] === 'applied');
    expect(children(apply)).toEqual(expect.arrayContaining(['execute', 'prove']));
  }, 60_000);

  it('joins the trace of a tool call, by its _meta before the header', async () => {
    const agent = await mcpClient(task.mcp);
    const trace = TRACE.replace('a1', 'c1');
    await agent.client.callTool({
      name: 'execute_sql',
      arguments: { sql: 'SELECT count(*) FROM public.vehicles', target: 'rental-production' },
      _meta: { traceparent: traceparent(trace) },
    });
    const intent = await collector.span('intent', (span) => span.traceId === trace);
    expect(intent.attributes['countersign.channel']).toBe('mcp');
    await agent.close();
  });

  it('fails no command, and keeps none waiting for long, when nobody takes the traces', async () => {
    const silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    for (const endpoint of ['http://127.0.0.1:1', `http://127.0.0.1:${port}`]) {
      const env = { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint };
      const ran = await countersign(['plan', 'list', '--config', site.config], { cwd: site.directory, env });
      expect(ran).toMatchObject({ code: 0, stderr: '' });
      const halted = await countersign(['halt', '--task', 'task_none', '--reason', 'x', '--config', site.config], {
        env,
      });
      expect(halted).toMatchObject({ code: 0, stderr: '' });
    }
    silent.close();
    silent.closeAllConnections();
  }, 60_000);

  it('names what was denied, and never carries text, values or rows', async () => {
    await expect(client.query("CREATE ROLE marker PASSWORD 'marker-of-a-value'")).rejects.toMatchObject({
      code: 'CS002',
    });
    await expect(client.query("SELECT 'marker-of-a-value'::int")).rejects.toThrow();
    await collector.span('intent', (span) => span.attributes['countersign.verdict'] === 'deny');
    await collector.span('execute', (span) => span.attributes['error.type'] === '22P02');
    await gateway.stop();
    expect(collector.raw()).not.toMatch(/marker-of-a-value|1234567891/);
    expect(collector.raw()).not.toContain(task.token);
    expect(collector.raw()).not.toContain('db.query.text');
  });
});
