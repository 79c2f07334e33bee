import { type ActorId, asId, type HaltId, instantOf } from '../../src/domain/ids.ts';
import { insertHalt } from '../../src/store/halts.ts';
import { openStore } from '../../src/store/open-store.ts';
import { locationOf } from '../fixtures/state.ts';

/** Another process on the same state: says when it sees a change, and halts everything when it is told to. */
const store = await openStore(locationOf(process.argv[2] ?? ''));
store.onChange(() => process.send?.('changed'));
process.on('message', async () => {
  const [id, by] = [asId<HaltId>('h-other'), asId<ActorId>('ada')];
  await store.commit([insertHalt({ id, scope: { scope: 'global' }, reason: 'r', by, at: instantOf(0) })]);
  process.send?.('halted');
});
process.on('disconnect', () => process.exit());
process.send?.('ready');
