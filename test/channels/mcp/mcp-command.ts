import { Command } from 'commander';
import { registerMcp } from '../../../src/cli/mcp.ts';

/** `countersign mcp` alone, as a program to be started. */
const program = new Command('countersign');
registerMcp(program);
await program.parseAsync(['node', 'countersign', 'mcp', ...process.argv.slice(2)]);
