import { Command } from 'commander';
import { EXIT, VERSION } from './exit.ts';

/** Each noun is loaded when it is asked for: a command is there at once, whatever the others need. */
const NOUNS: Readonly<Record<string, () => Promise<(program: Command) => void>>> = {
  init: async () => (await import('./init.ts')).registerInit,
  serve: async () => (await import('./serve.ts')).registerServe,
  task: async () => (await import('./task.ts')).registerTask,
  plan: async () => {
    const [{ registerPlan }, { registerBreakGlass }] = await Promise.all([
      import('./plan.ts'),
      import('./break-glass.ts'),
    ]);
    return (commands) => registerBreakGlass(registerPlan(commands));
  },
  change: async () => (await import('./change.ts')).registerChange,
  branch: async () => (await import('./branch.ts')).registerBranch,
  ledger: async () => (await import('./ledger.ts')).registerLedger,
  witness: async () => (await import('./witness.ts')).registerWitness,
  halt: async () => (await import('./halt.ts')).registerHalt,
  resume: async () => (await import('./halt.ts')).registerHalt,
  policy: async () => (await import('./policy.ts')).registerPolicy,
  console: async () => (await import('./console.ts')).registerConsole,
  person: async () => (await import('./person.ts')).registerPerson,
  passkey: async () => (await import('./passkey.ts')).registerPasskey,
  token: async () => (await import('./token.ts')).registerToken,
  session: async () => (await import('./session.ts')).registerSession,
  notification: async () => (await import('./notification.ts')).registerNotification,
  doctor: async () => (await import('./doctor.ts')).registerDoctor,
  credentials: async () => (await import('./credentials.ts')).registerCredentials,
  mcp: async () => (await import('./mcp.ts')).registerMcp,
  demo: async () => (await import('./demo.ts')).registerDemo,
  backup: async () => (await import('./backup.ts')).registerBackup,
  drill: async () => (await import('./drill.ts')).registerDrill,
  drift: async () => (await import('./drift.ts')).registerDrift,
  breaker: async () => (await import('./breaker.ts')).registerBreaker,
  incident: async () => (await import('./incident.ts')).registerIncident,
  redteam: async () => (await import('./redteam.ts')).registerRedTeam,
};

const program = new Command('countersign')
  .description('Agents propose, people countersign, the system executes, and everything can be proven.')
  .version(VERSION)
  .showHelpAfterError('(see `countersign --help`)')
  .exitOverride((error) => {
    // Asking for help is no mistake; anything else that ends here is one in the call.
    process.exit(error.exitCode === 0 ? EXIT.ok : EXIT.usage);
  });

const noun = NOUNS[process.argv[2] ?? ''];
const registers = noun === undefined ? await Promise.all(Object.values(NOUNS).map((load) => load())) : [await noun()];
for (const register of new Set(registers)) register(program);
await program.parseAsync();
// A command has ended when it has answered: what it was to keep is kept, and nothing that a library left open may hold it up.
await Promise.all(
  [process.stdout, process.stderr].map((stream) => new Promise((resolve) => stream.write('', resolve))),
);
process.exit();
