import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { loadConfig } from '../../src/config/load.ts';
import { rentalDatabase, servers, startTestServer, type TestServer } from '../fixtures/postgres.ts';
import { countersign } from '../fixtures/run-command.ts';

const ROOT = new URL('../../', import.meta.url).pathname;
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const PORTS = { pg: 6434, http: 6480 };
/** What stands for a value that is kept elsewhere, in configuration, compose and Kubernetes. */
const SECRET_KEY = /password|secret|token|private/i;

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'countersign-deploy-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Every scalar of a document with the path to it. */
function* scalars(value: unknown, path: readonly string[] = []): Generator<readonly [path: string, value: unknown]> {
  if (typeof value !== 'object' || value === null) yield [path.join('.'), value];
  else for (const [key, inner] of Object.entries(value)) yield* scalars(inner, [...path, key]);
}

describe('deploy/Dockerfile', () => {
  const lines = read('deploy/Dockerfile')
    .replaceAll('\\\n', ' ')
    .split('\n')
    .map((line) => line.trim().replaceAll(/\s+/g, ' '))
    .filter((line) => line !== '' && !line.startsWith('#'));
  const last = lines.slice(lines.findLastIndex((line) => line.startsWith('FROM ')));
  const only = (word: string) =>
    last.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1));

  it('runs on the Node.js that the package asks for, as an ordinary user that is known by number', () => {
    for (const from of lines.filter((line) => line.startsWith('FROM ')))
      expect(from).toMatch(/^FROM node:24-\w+-slim( AS \w+)?$/);
    expect(JSON.parse(read('package.json'))).toMatchObject({ engines: { node: '>=24' } });
    expect(only('USER')).toEqual(['10001:10001']);
    expect(last.findIndex((line) => line.startsWith('USER '))).toBeLessThan(
      last.findIndex((line) => line.startsWith('ENTRYPOINT ')),
    );
  });

  it('holds what is needed to run and nothing of development', () => {
    expect(lines).toContain('RUN npm ci --omit=dev --omit=optional --ignore-scripts');
    expect(last.filter((line) => line.startsWith('ADD '))).toEqual([]);
    const allowed = read('deploy/Dockerfile.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'));
    const copied = lines
      .filter((line) => line.startsWith('COPY ') && !line.includes('--from='))
      .flatMap((line) => line.split(' ').slice(1, -1))
      .map((path) => path.replace('./', ''));
    expect(copied.length).toBeGreaterThan(5);
    for (const path of copied) {
      expect(existsSync(join(ROOT, path)), path).toBe(true);
      expect(allowed, path).toContain(`!${path}`);
    }
  });

  it('tells its ports and how it is, and holds no secret', () => {
    expect(only('EXPOSE')).toEqual([`${PORTS.pg} ${PORTS.http}`]);
    expect(only('HEALTHCHECK').join()).toContain(`http://127.0.0.1:${PORTS.http}/healthz`);
    for (const line of lines.filter((each) => /^(ENV|ARG) /.test(each))) expect(line).not.toMatch(SECRET_KEY);
    expect(only('ENTRYPOINT')).toEqual(['["node", "bin/countersign.js"]']);
  });
});

describe('deploy/compose', () => {
  const service = z.looseObject({
    user: z.string().optional(),
    environment: z.record(z.string(), z.string()).default({}),
    ports: z.array(z.string()).default([]),
    volumes: z.array(z.string()).default([]),
  });
  const compose = z
    .looseObject({ services: z.record(z.string(), service), volumes: z.record(z.string(), z.unknown()) })
    .parse(parse(read('deploy/compose/compose.yaml'), { merge: true }));
  const gateways = Object.entries(compose.services).filter(([name]) => /^(gateway-\d|init)$/.test(name));

  it('has two gateways, the server of their state and a target, each waited for', () => {
    expect(Object.keys(compose.services).sort()).toEqual(['gateway-1', 'gateway-2', 'init', 'state', 'target']);
    for (const [name, gateway] of gateways) {
      expect(gateway['depends_on'], name).toEqual({
        state: { condition: 'service_healthy' },
        target: { condition: 'service_healthy' },
      });
    }
    for (const name of ['state', 'target']) expect(compose.services[name]?.['healthcheck']).toBeDefined();
  });

  it('confines the gateways', () => {
    expect(gateways).toHaveLength(3);
    for (const [name, gateway] of gateways) {
      expect(gateway, name).toMatchObject({
        user: '10001:10001',
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
      });
      expect(gateway['privileged'], name).toBeUndefined();
    }
  });

  it('opens ports on the loopback interface alone, and each gateway its own', () => {
    const published = Object.values(compose.services).flatMap(({ ports }) => ports);
    expect(new Set(published.map((port) => port.split(':')[1])).size).toBe(4);
    for (const port of published) expect(port).toMatch(/^127\.0\.0\.1:\d+:(6434|6480)$/);
  });

  it('keeps what each gateway knows of the ledger apart', () => {
    const kept = ['gateway-1', 'gateway-2'].map((name) =>
      compose.services[name]?.volumes.find((volume) => volume.endsWith(':/etc/countersign/state')),
    );
    expect(new Set(kept).size).toBe(2);
    for (const volume of kept) expect(compose.volumes).toHaveProperty(volume?.split(':')[0] ?? '');
  });

  it('holds no secret: each comes from .env, and is missed where it isn’t there', () => {
    const passwords = [...scalars(compose)].filter(([path]) => SECRET_KEY.test(path.split('.').at(-1) ?? ''));
    expect(passwords.length).toBeGreaterThan(3);
    for (const [path, value] of passwords) expect(value, path).toMatch(/^\$\{COUNTERSIGN_\w+:\?[^}]+\}$/);
  });
});

describe.each(servers.slice(0, 1))('deploy/compose/countersign.yaml, before $name', ({ binaries }) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer(binaries);
  });
  afterAll(() => server?.remove());

  it('is what init builds upon: state and addresses stay', async () => {
    const config = join(directory, 'countersign.yaml');
    cpSync(join(ROOT, 'deploy/compose/countersign.yaml'), config);
    const database = await rentalDatabase(server);
    const args = [
      'init',
      '--database',
      database,
      '--environment',
      'production',
      '--owner',
      'owner',
      '--config',
      config,
    ];
    const ran = await countersign([...args, '--yes', '--json']);
    expect(ran.code, ran.stderr).toBe(0);
    const loaded = await loadConfig(config);
    expect(loaded.state).toMatchObject({ host: 'state', database: 'state', user: 'countersign', tls: 'disable' });
    expect(loaded.listen).toEqual({
      pg: { host: '0.0.0.0', port: PORTS.pg },
      http: { host: '0.0.0.0', port: PORTS.http },
    });
    expect([...loaded.targets.keys()]).toEqual(['rental-production']);
  });
});

describe('deploy/kubernetes', () => {
  const files = readdirSync(join(ROOT, 'deploy/kubernetes'));
  const manifests = files
    .filter((file) => file !== 'countersign.yaml' && file !== 'kustomization.yaml')
    .flatMap((file) =>
      parseAllDocuments(read(`deploy/kubernetes/${file}`)).map(
        (document) => document.toJS() as Record<string, unknown>,
      ),
    );
  const of = (kind: string) => {
    const found = manifests.filter((manifest) => manifest['kind'] === kind);
    expect(found, kind).toHaveLength(1);
    return found[0] ?? {};
  };
  const container = z.looseObject({
    name: z.string(),
    env: z.array(z.looseObject({ name: z.string() })).default([]),
    ports: z.array(z.object({ name: z.string(), containerPort: z.int() })).default([]),
    volumeMounts: z.array(z.looseObject({ name: z.string(), mountPath: z.string() })).default([]),
  });
  const deployment = z
    .looseObject({
      spec: z.looseObject({
        replicas: z.int(),
        template: z.looseObject({
          metadata: z.object({ labels: z.record(z.string(), z.string()) }),
          spec: z.looseObject({
            initContainers: z.array(container),
            containers: z.array(container),
            volumes: z.array(z.looseObject({ name: z.string() })),
          }),
        }),
      }),
    })
    .parse(of('Deployment')).spec;
  const pod = deployment.template.spec;
  const all = [...pod.initContainers, ...pod.containers];
  const [gateway] = pod.containers;

  it('names every file of its own, and no other', () => {
    const kustomization = z
      .looseObject({
        resources: z.array(z.string()),
        configMapGenerator: z.array(z.object({ name: z.string(), files: z.array(z.string()) })),
      })
      .parse(parse(read('deploy/kubernetes/kustomization.yaml')));
    const named = [
      ...kustomization.resources,
      ...kustomization.configMapGenerator.flatMap((map) => map.files),
      'kustomization.yaml',
    ];
    expect(named.sort()).toEqual(files.sort());
  });

  it('runs no process as root, none that can gain rights, none on a file system that it can change', () => {
    expect(pod['securityContext']).toMatchObject({
      runAsNonRoot: true,
      runAsUser: 10001,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(pod['automountServiceAccountToken']).toBe(false);
    for (const key of ['hostNetwork', 'hostPID', 'hostIPC']) expect(pod[key], key).toBeUndefined();
    for (const each of all) {
      expect(each['securityContext'], each.name).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      expect(each['resources'], each.name).toMatchObject({
        requests: { cpu: expect.any(String) },
        limits: { memory: expect.any(String) },
      });
    }
    for (const volume of pod.volumes) expect(volume['hostPath'], volume.name).toBeUndefined();
    expect(of('Namespace')).toMatchObject({
      metadata: { labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
    });
  });

  it('holds no secret, only references to them', () => {
    expect(manifests.filter((manifest) => manifest['kind'] === 'Secret')).toEqual([]);
    for (const { env } of all)
      for (const each of env) {
        expect(each['value'], each.name).toBeUndefined();
        expect(each['valueFrom'], each.name).toMatchObject({
          secretKeyRef: { name: expect.any(String), key: expect.any(String) },
        });
      }
  });

  it('mounts what it names, and has somewhere to write what it must', () => {
    const volumes = new Set(pod.volumes.map(({ name }) => name));
    for (const each of all)
      for (const mount of each.volumeMounts) expect(volumes, mount.mountPath).toContain(mount.name);
    const writable = gateway?.volumeMounts
      .filter((mount) => mount['readOnly'] !== true)
      .map((mount) => mount.mountPath);
    expect(writable?.sort()).toEqual(['/etc/countersign/state', '/tmp']);
  });

  it('keeps one of two gateways, spread over machines, and asks them how they are', () => {
    expect(deployment.replicas).toBe(2);
    expect(pod['topologySpreadConstraints']).toBeDefined();
    expect(of('PodDisruptionBudget')).toMatchObject({ spec: { minAvailable: 1 } });
    const probe = (path: string) => ({
      httpGet: { path, port: 'http', httpHeaders: [{ name: 'Host', value: 'localhost' }] },
    });
    expect(gateway).toMatchObject({
      livenessProbe: probe('/healthz'),
      startupProbe: probe('/healthz'),
      readinessProbe: probe('/readyz'),
    });
  });

  it('is about the same pods and ports everywhere', async () => {
    const labels = { 'app.kubernetes.io/name': 'countersign' };
    expect(deployment.template.metadata.labels).toEqual(labels);
    expect(deployment['selector']).toEqual({ matchLabels: labels });
    expect(of('Service')).toMatchObject({ spec: { selector: labels } });
    expect(of('PodDisruptionBudget')).toMatchObject({ spec: { selector: { matchLabels: labels } } });
    expect(of('NetworkPolicy')).toMatchObject({
      spec: { podSelector: { matchLabels: labels }, policyTypes: ['Ingress', 'Egress'] },
    });
    expect(gateway?.ports).toEqual([
      { name: 'pg', containerPort: PORTS.pg },
      { name: 'http', containerPort: PORTS.http },
    ]);
    expect(of('Service')).toMatchObject({
      spec: {
        ports: [
          { name: 'pg', port: PORTS.pg, targetPort: 'pg' },
          { name: 'http', port: PORTS.http, targetPort: 'http' },
        ],
      },
    });
    expect(of('NetworkPolicy')).toMatchObject({
      spec: { ingress: [{ ports: [{ port: PORTS.pg }, { port: PORTS.http }] }] },
    });
  });

  it('has a configuration that is one, with the secrets that the pod is given', async () => {
    const keys = join(directory, 'keys');
    mkdirSync(keys, { recursive: true });
    for (const name of ['state-ca.crt', 'target-ca.crt']) writeFileSync(join(keys, name), 'PEM');
    const text = read('deploy/kubernetes/countersign.yaml');
    const file = join(directory, 'kubernetes.yaml');
    writeFileSync(file, text.replaceAll('/etc/countersign/keys', keys));
    const config = await loadConfig(file);
    expect(config.listen).toEqual({
      pg: { host: '0.0.0.0', port: PORTS.pg },
      http: { host: '0.0.0.0', port: PORTS.http },
    });
    expect(config.reachedAt?.pg).toMatch(/:6434$/);
    expect(config.state).toMatchObject({ tls: 'verify-full' });
    expect(config.tls).toMatchObject({ required: true });
    for (const { target } of config.targets.values()) expect(target.endpoint.tls).toBe('verify-full');
    const referred = [...text.matchAll(/\$\{env:(\w+)\}/g)].map(([, name]) => name);
    expect(new Set(referred)).toEqual(new Set(gateway?.env.map(({ name }) => name)));
  });
});
