import type { ActivityEntry } from '../../../src/pipeline/oversight/activity.ts';
import { grouped, moment, rows, shortId } from './words.ts';

export interface DescribedEntry {
  readonly kind: string;
  readonly said: string;
  readonly tone: 'good' | 'bad' | 'warn-text' | '';
  /** Statements with their constants taken out: the ledger has no others. */
  readonly shapes: readonly string[];
}

type Body = Readonly<Record<string, unknown>>;

/** An entry of the ledger in a sentence. */
export function describeEntry(entry: ActivityEntry): DescribedEntry {
  const body = (typeof entry.body === 'object' && entry.body !== null ? entry.body : {}) as Body;
  const shapes = shapesOf(body);
  const who = entry.actor ?? 'somebody';
  const say = (kind: string, said: string, tone: DescribedEntry['tone'] = ''): DescribedEntry => ({
    kind,
    said,
    tone,
    shapes,
  });
  switch (entry.kind) {
    case 'task opened':
      return say('Task opened', `${who}${forWhom(entry)}: ${text(body['purpose'])}`);
    case 'task closed':
      return say('Task closed', `by ${text(body['by'])}`);
    case 'reads':
      return say('Read', `${grouped(readsOf(body))} ${readsOf(body) === 1 ? 'statement' : 'statements'}`);
    case 'denied':
      return say('Denied', `${who}: ${list(body['policies']) || text(body['decision'])}`, 'bad');
    case 'plan':
      return say(
        body['decision'] === 'hold' ? 'Held' : 'Planned',
        `${who}${forWhom(entry)}: ${effectOf(body)}; ${list(body['policies'])}`,
        body['decision'] === 'hold' ? 'warn-text' : '',
      );
    case 'intent':
      return entry.plan === null
        ? say('Writes', `${who}, within limits: ${effectOf(body)}`)
        : say('Commits', `what plan ${shortId(entry.plan)} was measured to do`);
    case 'approval':
      return body['complete'] === true
        ? say('Approved', 'all countersignatures are there', 'good')
        : say('Signed', `${signerOf(body)} countersigned${because(body)}`, 'good');
    case 'rejection':
      return say('Rejected', `${text(body['person'])}${because(body)}`, 'bad');
    case 'apply':
      return say('Applies', `${text(body['by'])}; signed by ${list(body['approvedBy']) || signedByNobody(body)}`);
    case 'outcome':
      return outcome(entry, body, say);
    case 'expired':
      return say('Expired', body['plan'] === undefined ? 'rows kept for undo were let go' : `nobody decided in time`);
    case 'halt':
      return say('Halted', `${scopeOf(body)} by ${text(body['by'])}${because(body)}`, 'bad');
    case 'resume':
      return say('Resumed', `${scopeOf(body)} by ${text(body['by'])}${because(body)}`, 'good');
    case 'backup':
      return say('Backup', text(body['backup']));
    case 'drill':
      return say(
        'Drill',
        body['passed'] === true ? 'passed: all of it was restored and compared' : `failed: ${list(body['problems'])}`,
        body['passed'] === true ? 'good' : 'bad',
      );
    case 'drift':
      return body['objects'] === 0
        ? say('Drift', `${text(body['target'])} is as its baseline has it again`, 'good')
        : say(
            'Drift',
            `${grouped(Number(body['objects']))} objects of ${text(body['target'])} are not as its baseline has them: ${changed(body)}`,
            'bad',
          );
    case 'baseline':
      return say(
        'Baseline',
        `of ${text(body['target'])}: ${text(body['how'])}${body['person'] === undefined ? '' : ` by ${text(body['person'])}`}${because(body)}`,
      );
    case 'break-glass':
      return say(
        'Broke the glass',
        `${text(body['person'])} alone, without ${list(body['standsInFor'])}${because(body)}`,
        'bad',
      );
    case 'incident review':
      return say('Reviewed', `${text(body['incident'])} by ${text(body['person'])}${because(body)}`, 'good');
    case 'delegation':
      return body['event'] === 'ended'
        ? say('Delegation', `ended by ${text(body['person'])}${because(body)}`)
        : say(
            'Delegation',
            `${text(body['to'])} decides in the place of ${text(body['person'])} in ${text(body['environment'])} until ${moment(text(body['until']))}${because(body)}`,
          );
    case 'trip':
      return say('Breaker', `${text(body['breaker'])} has stopped ${scopeOf(body)}${because(body)}`, 'bad');
    case 'voucher':
      return say('Voucher', `${text(body['person'])} on ${text(body['signature'])}`);
    case 'reload':
      return say('Configuration', `loaded anew: ${text(body['outcome'])}`);
    case 'session':
      return session(body, say);
    case 'policy':
      return say('Policies', `in force from here on, by ${text(body['by'])}`);
    case 'branch':
      return body['outcome'] === 'made'
        ? say('Branch', `${entry.subject} of ${text(body['target'])}, asked for by ${text(body['askedBy'])}`)
        : say('Branch', `${entry.subject} is gone: ${text(body['why'])}`);
    case 'erased':
      return say('Erased', `values of ${shortId(entry.subject)} by ${text(body['by'])}${because(body)}`, 'warn-text');
    default:
      return say(`${entry.kind[0]?.toUpperCase() ?? ''}${entry.kind.slice(1)}`, shortId(entry.subject));
  }
}

function changed(body: Body): string {
  const changes = (Array.isArray(body['changes']) ? body['changes'] : []) as readonly {
    object: string;
    change: string;
  }[];
  const named = changes.slice(0, 5).map(({ object, change }) => `${object} ${change}`);
  return [...named, ...(changes.length > 5 ? ['…'] : [])].join(', ');
}

function session(body: Body, say: (kind: string, said: string) => DescribedEntry): DescribedEntry {
  const person = text(body['person']);
  if (body['event'] === 'stepped up') return say('Still there', `${person} showed it with a ${text(body['via'])}`);
  if (body['event'] === 'opened') return say('Signed in', `${person} with a ${text(body['via'])}`);
  if (body['event'] === 'ended') return say('Signed out', `${text(body['why'])}, by ${text(body['by'])}`);
  return say('Sign-in', `${person} asked for an address to sign in with`);
}

/** Alone in an emergency, or where nobody was needed. */
function signedByNobody(body: Body): string {
  return body['breakGlass'] === undefined ? 'nobody, as policy allows' : 'nobody else: the glass was broken';
}

function outcome(
  entry: ActivityEntry,
  body: Body,
  say: (kind: string, said: string, tone?: DescribedEntry['tone']) => DescribedEntry,
): DescribedEntry {
  const said = text(body['outcome']);
  const what = entry.tables.length === 0 ? '' : ` to ${entry.tables.slice(0, 3).join(', ')}`;
  if (said === 'applied' || said === 'already applied') return say('Took effect', `once${what}`, 'good');
  return say('Ended', `${said}${what}`, said === 'not applied' ? '' : 'bad');
}

function forWhom({ actor, onBehalfOf }: ActivityEntry): string {
  return onBehalfOf === null || onBehalfOf === actor ? '' : ` for ${onBehalfOf}`;
}

/** An agent is never taken for a person. */
function signerOf(body: Body): string {
  return body['agent'] === undefined ? text(body['person']) : `the approval agent ${text(body['agent'])}`;
}

function because(body: Body): string {
  const reason = text(body['reason']);
  return reason === '' ? '' : `: ${reason}`;
}

function scopeOf(body: Body): string {
  return body['scope'] === 'global' ? 'everything' : `${text(body['scope'])} ${text(body['id'])}`;
}

/** Rows by table, as they were counted. */
function effectOf(body: Body): string {
  const measured = body['measured'];
  if (measured === null) return 'not measured';
  const tables = (Array.isArray(measured) ? measured : ((measured as Body | undefined)?.['tables'] ?? [])) as Body[];
  const nearest = tables.toSorted((a, b) => Number(b['via'] === 'direct') - Number(a['via'] === 'direct'));
  const said = nearest.slice(0, 4).map((table) => {
    const count = ['inserted', 'updated', 'deleted', 'truncated'].reduce(
      (sum, key) => sum + Number(table[key] ?? 0),
      0,
    );
    return `${rows(count)} of ${text(table['table'])}`;
  });
  const objects = ((measured as Body | undefined)?.['objects'] as unknown[] | undefined)?.length ?? 0;
  return (
    [...said, ...(objects > 0 ? [`${objects} ${objects === 1 ? 'object' : 'objects'}`] : [])].join(', ') ||
    'nothing changes'
  );
}

function shapesOf(body: Body): readonly string[] {
  const { statements } = body;
  if (!Array.isArray(statements)) return [];
  return [...new Set(statements.map((each) => text((each as Body)['shape'])).filter((shape) => shape !== ''))];
}

function readsOf(body: Body): number {
  const { statements } = body;
  return Array.isArray(statements)
    ? statements.reduce((sum: number, each) => sum + Number((each as Body)['count'] ?? 1), 0)
    : 0;
}

function list(value: unknown): string {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string').join(', ') : '';
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
