import { byMcp } from './by-mcp.ts';
import { byWire } from './by-wire.ts';
import type { Carriage, Reply } from './carriage.ts';

const PATIENCE_MS = 12_000;

/** Sends an attempt and collects what comes back. Whatever is answered, it goes on to its end. */
export async function send(carriage: Carriage): Promise<Reply> {
  const timed = { ...carriage, signal: carriage.signal ?? AbortSignal.timeout(PATIENCE_MS) };
  return carriage.channel === 'mcp' ? byMcp(timed) : byWire(timed);
}
