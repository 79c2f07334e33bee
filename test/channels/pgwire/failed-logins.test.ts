import { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createFailedLogins } from '../../../src/channels/pgwire/failed-logins.ts';

describe('failed logins', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  const failures = () => createFailedLogins(() => Date.now());

  async function took(waiting: Promise<boolean>): Promise<number> {
    const started = Date.now();
    await vi.runAllTimersAsync();
    expect(await waiting).toBe(true);
    return Date.now() - started;
  }

  it('answers each late by the same time, and later after many', async () => {
    const logins = failures();
    for (let failure = 0; failure < 10; failure++) expect(await took(logins.wait(new Socket(), '10.0.0.1'))).toBe(250);
    expect(await took(logins.wait(new Socket(), '10.0.0.1'))).toBe(2000);
    expect(await took(logins.wait(new Socket(), '10.0.0.2'))).toBe(250);
  });

  it('forgets after a minute', async () => {
    const logins = failures();
    for (let failure = 0; failure < 11; failure++) await took(logins.wait(new Socket(), '10.0.0.1'));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await took(logins.wait(new Socket(), '10.0.0.1'))).toBe(250);
  });

  it('lets only so many of an address wait, and takes one network for one address', async () => {
    const logins = failures();
    const addresses = ['2001:db8:1:2::1', '2001:db8:1:2:ffff::9', '2001:db8:1:2:3:4:5:6'];
    const waiting = Array.from({ length: 32 }, (_, index) => logins.wait(new Socket(), addresses[index % 3] ?? ''));
    expect(await logins.wait(new Socket(), '2001:db8:1:2::abcd')).toBe(false);
    const elsewhere = logins.wait(new Socket(), '2001:db8:1:3::1');
    await vi.runAllTimersAsync();
    expect(await Promise.all([...waiting, elsewhere])).not.toContain(false);
    const mapped = Array.from({ length: 32 }, () => logins.wait(new Socket(), '::ffff:10.0.0.1'));
    expect(await logins.wait(new Socket(), '10.0.0.1')).toBe(false);
    await vi.runAllTimersAsync();
    await Promise.all(mapped);
  });

  it('frees the place of a client that went away', async () => {
    const logins = failures();
    const gone = Array.from({ length: 32 }, () => new Socket());
    const waiting = gone.map((socket) => logins.wait(socket, '10.0.0.1'));
    for (const socket of gone) socket.destroy();
    vi.useRealTimers();
    expect(await Promise.all(waiting)).not.toContain(false);
    const next = new Socket();
    next.destroy();
    expect(await logins.wait(next, '10.0.0.1')).toBe(true);
  });
});
