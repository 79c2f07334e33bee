import { join } from 'node:path';
import { systemClock } from '../../src/domain/clock.ts';
import { openLedger } from '../../src/ledger/ledger.ts';
import { loadSigningKey } from '../../src/ledger/signing-key.ts';
import { openStore } from '../../src/store/open-store.ts';
import { entry } from '../fixtures/ledger.ts';

/** Records until it is killed, and says what was acknowledged. */
const directory = process.argv[2] ?? '';
const store = await openStore(`sqlite:${join(directory, 'state.db')}`);
const ledger = await openLedger({
  store,
  key: loadSigningKey(join(directory, 'ledger.key'), 'test.example/ledger'),
  clock: systemClock,
});
for (let n = 0; ; n++) {
  const recorded = await Promise.all([0, 1, 2].map((part) => ledger.record({ entries: [entry(`${n}-${part}`)] })));
  for (const { indexes } of recorded) for (const index of indexes) process.send?.(index);
}
