// The house of ARCHITECTURE.md: who may import whom. Checked in CI by `npm run check:architecture`.
const room = (name) => `^src/${name}/`;
const only = (name, allowed) => ({
  name: `${name}-imports-only-what-lies-behind-it`,
  severity: 'error',
  from: { path: room(name) },
  to: { path: '^src/', pathNot: [name, ...allowed].map(room) },
});

module.exports = {
  forbidden: [
    { name: 'no-circles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'no-orphans',
      severity: 'error',
      from: { orphan: true, path: '^src/', pathNot: ['^src/cli/main.ts', 'worker\\.ts$'] },
      to: {},
    },
    only('domain', []),
    only('config', ['domain']),
    only('engines', ['domain']),
    only('store', ['domain']),
    only('ledger', ['domain', 'store']),
    only('witness', ['ledger']),
    only('analysis', ['domain', 'engines']),
    only('policy', ['domain', 'config']),
    only('environments', ['domain', 'engines']),
    only('breakers', ['domain']),
    only('planning', ['domain', 'engines', 'analysis']),
    only('approval', ['domain', 'store', 'ledger']),
    only('execution', ['domain', 'engines', 'analysis', 'policy', 'planning', 'approval', 'ledger', 'store']),
    only('pipeline', [
      'domain',
      'config',
      'engines',
      'environments',
      'breakers',
      'analysis',
      'policy',
      'planning',
      'approval',
      'execution',
      'ledger',
      'store',
    ]),
    only('doctor', ['domain', 'config', 'engines', 'backups', 'branches', 'ledger', 'store', 'notify']),
    {
      name: 'only-the-cli-asks-the-doctor',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(doctor|cli)/' },
      to: { path: room('doctor') },
    },
    only('backups', ['domain', 'engines']),
    // A copy is dumped and restored with what backups are.
    only('branches', ['domain', 'engines', 'backups']),
    only('notify', ['domain']),
    // It meets a gateway as an attacker does, in another process: of what is inside it knows next to nothing.
    only('redteam', ['domain', 'config', 'engines', 'analysis', 'ledger']),
    {
      name: 'only-the-cli-sets-the-red-team-on',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(redteam|cli)/' },
      to: { path: room('redteam') },
    },
    only('observing', ['domain', 'analysis', 'policy', 'engines', 'execution', 'ledger', 'store', 'pipeline']),
    {
      name: 'nothing-that-is-observed-knows-its-observers',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(observing|server|cli)/' },
      to: { path: room('observing') },
    },
    only('identity', ['domain', 'approval', 'ledger', 'store', 'pipeline']),
    only('channels', ['domain', 'identity', 'pipeline', 'execution', 'engines']),
    {
      name: 'channels-do-not-know-each-other',
      severity: 'error',
      from: { path: '^src/channels/([^/]+)/' },
      to: { path: '^src/channels/', pathNot: '^src/channels/$1/' },
    },
    { name: 'nothing-imports-the-cli', severity: 'error', from: { pathNot: '^src/cli/' }, to: { path: '^src/cli/' } },
    {
      name: 'only-the-cli-imports-the-server',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(server|cli)/' },
      to: { path: '^src/server/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'types'],
      extensions: ['.ts', '.js'],
    },
  },
};
