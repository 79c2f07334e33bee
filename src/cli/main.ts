import { Command } from 'commander';
import { EXIT, VERSION } from './command.ts';
import { registerDemo } from './demo.ts';
import { registerHalt } from './halt.ts';
import { registerInit } from './init.ts';
import { registerLedger } from './ledger.ts';
import { registerMcp } from './mcp.ts';
import { registerPlan } from './plan.ts';
import { registerPolicy } from './policy.ts';
import { registerServe } from './serve.ts';
import { registerTask } from './task.ts';

const program = new Command('countersign')
  .description('Agents propose, people countersign, the system executes, and everything can be proven.')
  .version(VERSION)
  .showHelpAfterError('(see `countersign --help`)')
  .exitOverride((error) => {
    // Asking for help is no mistake; anything else that ends here is one in the call.
    process.exit(error.exitCode === 0 ? EXIT.ok : EXIT.usage);
  });

for (const register of [
  registerInit,
  registerServe,
  registerTask,
  registerPlan,
  registerLedger,
  registerHalt,
  registerPolicy,
  registerMcp,
  registerDemo,
]) {
  register(program);
}

await program.parseAsync();
