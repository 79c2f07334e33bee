import { describe, expect, it } from 'vitest';
import { createMessageRoom } from '../../../src/channels/pgwire/message-room.ts';

describe('room for long messages', () => {
  it('is given in the order in which it was asked for, and never more than there is', async () => {
    const room = createMessageRoom(100, 1000);
    const admitted: string[] = [];
    const ask = async (name: string, bytes: number) => {
      const giveBack = await room.reserve(bytes);
      admitted.push(name);
      return giveBack;
    };
    const first = await ask('first', 60);
    const second = ask('second', 60);
    const small = ask('small', 10);
    await new Promise(setImmediate);
    expect(admitted).toEqual(['first']);
    first?.();
    first?.();
    (await second)?.();
    (await small)?.();
    expect(admitted).toEqual(['first', 'second', 'small']);
    expect(await room.reserve(100)).not.toBeNull();
  });

  it('is refused after a while, and who waits behind is let in', async () => {
    const room = createMessageRoom(100, 50);
    const kept = await room.reserve(50);
    const [large, small] = await Promise.all([room.reserve(80), room.reserve(50)]);
    expect(large).toBeNull();
    expect(small).not.toBeNull();
    kept?.();
    expect(await room.reserve(101)).toBeNull();
  });
});
