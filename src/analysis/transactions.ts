import type { TransactionAct } from '../domain/effect.ts';
import { type Classified, unsupported } from './classified.ts';
import type { Tree } from './parse.ts';
import { constantOf } from './settings.ts';

/** BEGIN, COMMIT, SAVEPOINT and their kin. */
export function transaction(node: Tree): Classified {
  const kind = String(node['kind']).replace('TRANS_STMT_', '');
  const name = String(node['savepoint_name'] ?? '');
  if (node['chain'] === true) return unsupported(`${kind} AND CHAIN`);
  const act = transactionAct(kind, name, node);
  if (act === undefined) return unsupported(`${kind.replaceAll('_', ' ')} (two-phase commit)`);
  return { statementClass: { kind: 'transaction', act }, command: kind.replaceAll('_', ' ') };
}

function transactionAct(kind: string, name: string, node: Tree): TransactionAct | undefined {
  switch (kind) {
    case 'BEGIN':
    case 'START': {
      const options = (node['options'] as Tree[] | undefined) ?? [];
      const readOnly = options.some((item) => {
        const option = item['DefElem'] as Tree | undefined;
        return option?.['defname'] === 'transaction_read_only' && constantOf(option['arg']) === '1';
      });
      return {
        act: 'begin',
        readOnly,
        plain: options.length === 0,
        tag: kind === 'BEGIN' ? 'BEGIN' : 'START TRANSACTION',
      };
    }
    case 'COMMIT':
      return { act: 'commit' };
    case 'ROLLBACK':
      return { act: 'rollback' };
    case 'SAVEPOINT':
      return { act: 'savepoint', name };
    case 'RELEASE':
      return { act: 'release', name };
    case 'ROLLBACK_TO':
      return { act: 'rollback to', name };
    default:
      return undefined;
  }
}
