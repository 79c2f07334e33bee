import { hash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/**
 * Names where a process id means something: this kernel since it booted, and the container's own numbering. A host name
 * alone doesn't: two machines, or two containers, may have the same one.
 */
export function machineName(): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8');
    const numbering = readlinkSync('/proc/self/ns/pid');
    return `${hostname()}-${hash('sha256', `${boot}${numbering}`).slice(0, 12)}`;
  } catch {
    // Not Linux: there the host name is all there is.
    return hostname();
  }
}
