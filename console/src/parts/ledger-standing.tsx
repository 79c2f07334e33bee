import { useEffect, useState } from 'react';
import type { LedgerStanding, WitnessStanding } from '../../../src/pipeline/oversight/evidence.ts';
import { send } from '../api.ts';
import { refetchAll, useLive } from '../live.ts';
import { CommandToCopy } from './command.tsx';
import { Failed } from './states.tsx';
import { Ago } from './time.tsx';
import { grouped, visible } from './words.ts';

const LOOK_EVERY_MS = 700;

/** Whether the ledger was found to be what was signed: by whom, how far, and what one does to find it out oneself. */
export function LedgerStandingPart() {
  const { data: standing } = useLive<LedgerStanding>('/api/ledger');
  const running = standing?.verification.running ?? null;
  useEffect(() => {
    if (running === null) return;
    const looking = setInterval(refetchAll, LOOK_EVERY_MS);
    return () => clearInterval(looking);
  }, [running]);
  if (standing === undefined) return null;
  return (
    <section className="standing-of-ledger" aria-label="Whether the ledger is what was signed">
      <Found standing={standing} />
      <Witnesses witnesses={standing.witnesses} size={standing.checkpoint.size} />
      <CheckYourself standing={standing} />
    </section>
  );
}

interface Part {
  readonly standing: LedgerStanding;
}

function Found({ standing }: Part) {
  const { running, last } = standing.verification;
  const [trouble, setTrouble] = useState<Error | null>(null);
  const verify = () => {
    setTrouble(null);
    send('/api/ledger/verification').then(refetchAll, (error: unknown) =>
      setTrouble(error instanceof Error ? error : new Error(String(error))),
    );
  };
  return (
    <>
      {last?.verdict.verdict === 'tampered' ? (
        <div className="banner" role="alert">
          <strong>This ledger is not what was signed.</strong>
          <span>
            {visible(last.verdict.problem)}, found <Ago at={last.at} />. Keep the state as evidence, and compare it with
            the last export or checkpoint that was kept elsewhere.
          </span>
        </div>
      ) : null}
      {last?.verdict.verdict === 'unreadable' ? (
        <div className="banner warn" role="status">
          <strong>It could not be verified.</strong>
          <span>{visible(last.verdict.problem)}</span>
        </div>
      ) : null}
      <div className="found">
        <p className="soundness" data-verdict={last?.verdict.verdict ?? 'none'} role="status">
          <Soundness standing={standing} />
        </p>
        <button type="button" className="button" disabled={running !== null} onClick={verify}>
          {running === null ? 'Verify all of it now' : 'Reading all of it …'}
        </button>
      </div>
      {trouble === null ? null : <Failed error={trouble} />}
    </>
  );
}

/** Only what this gateway has found itself, and never more than that. */
function Soundness({ standing: { verification, checkpoint } }: Part) {
  const { last, since } = verification;
  if (last === null)
    return (
      <>
        <strong>Not verified yet</strong> since this gateway began, <Ago at={since} />.{' '}
        <span className="quiet">Every entry is signed for as it comes; nobody has read them all again.</span>
      </>
    );
  if (last.verdict.verdict !== 'sound')
    return (
      <>
        <strong>{last.verdict.verdict === 'tampered' ? 'Not sound' : 'Not verified'}</strong>, as this gateway found it{' '}
        <Ago at={last.at} />.
      </>
    );
  const { entries } = last.verdict;
  const newer = Math.max(0, checkpoint.size - entries);
  return (
    <>
      <strong>Sound</strong> as of <Ago at={last.at} />: this gateway read all {grouped(entries)} entries again, and
      each is as it was signed. <span className="quiet">{newer === 0 ? '' : `${grouped(newer)} came since.`}</span>
    </>
  );
}

function Witnesses({ witnesses, size }: { readonly witnesses: WitnessStanding | null; readonly size: number }) {
  if (witnesses === null)
    return (
      <p className="small quiet">
        No witness cosigns it: whoever holds the ledger’s key could still show another past to who kept no checkpoint.
        docs/witness.md tells how others watch over it.
      </p>
    );
  const { quorum, witnessed, by, asked } = witnesses;
  return (
    <>
      <p className="small">
        {witnessed === 0
          ? `Fewer than ${quorum} witnesses have cosigned it so far.`
          : `${by.join(' and ')} cosigned its first ${grouped(witnessed)} entries${
              size > witnessed ? `; ${grouped(size - witnessed)} wait for them` : ', which is all of it'
            }.`}
      </p>
      {asked.map((one) =>
        one.cosigned ? null : (
          <p key={one.witness} className={one.grave ? 'small bad' : 'small warn-text'}>
            {one.witness} does not cosign: {visible(one.why)}.
          </p>
        ),
      )}
    </>
  );
}

function CheckYourself({ standing }: Part) {
  const { verifierKey, checkpoint, origin } = standing;
  const file = `${origin.replaceAll(/[^\w.-]+/g, '-')}-${checkpoint.size}.ledger.jsonl`;
  return (
    <details className="small">
      <summary>Check it yourself, without this gateway</summary>
      <ol className="steps">
        <li>
          <a className="button" href="/api/ledger/archive" download>
            Take the whole ledger, {grouped(checkpoint.size)} entries
          </a>
        </li>
        <li>
          <p>Read it where you trust the program, with a key that came to you by another way than this page:</p>
          <CommandToCopy command={`countersign ledger verify ${file} --key '${verifierKey}'`} />
        </li>
        <li>
          <p>
            Or with the independent verifier, which shares no line with this program and also judges who signed what;{' '}
            <code>countersign ledger trust</code> writes the policy, to be handed over and read by a person:
          </p>
          <CommandToCopy command={`python3 verifier/verify.py --trust trust.json ${file}`} />
        </li>
        <li>
          <p>Keep the newest checkpoint where nobody here can change it. A later copy must have grown out of it:</p>
          <pre className="note">{visible(checkpoint.note)}</pre>
        </li>
      </ol>
    </details>
  );
}
