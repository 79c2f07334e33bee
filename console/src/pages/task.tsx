import { useState } from 'react';
import type { ActivityPage } from '../../../src/pipeline/oversight/activity.ts';
import type { TaskLine } from '../../../src/pipeline/oversight/oversight.ts';
import { send } from '../api.ts';
import { useKeys } from '../keys.ts';
import { refetchAll, useLive } from '../live.ts';
import { Dialog } from '../parts/dialog.tsx';
import { EntryList } from '../parts/entries.tsx';
import { Link } from '../parts/link.tsx';
import { Empty, Failed, Shown } from '../parts/states.tsx';
import { proofOf, TakeAway } from '../parts/take-away.tsx';
import { Left } from '../parts/time.tsx';
import { moment, visible } from '../parts/words.ts';
import { go } from '../router.ts';
import type { Session } from '../session.ts';

/** One task: what it may do, and everything that was done under it, in order. */
export function TaskPage({ id, session }: { readonly id: string; readonly session: Session }) {
  const known = useLive<{ task: TaskLine }>(`/api/tasks/${encodeURIComponent(id)}`);
  const replay = useLive<ActivityPage>(
    session.rights.includes('ledger.read') ? `/api/activity?task=${encodeURIComponent(id)}&limit=200` : null,
  );
  useKeys({ Escape: () => go('/tasks') });
  return (
    <Shown known={known}>
      {({ task: line }) => (
        <>
          <div className="page-head">
            <h1>
              {line.task.agent}: {visible(line.task.purpose)}
            </h1>
          </div>
          <p className="quiet">
            {line.task.onBehalfOf === line.task.agent ? 'On its own account' : `For ${line.task.onBehalfOf}`}, opened by{' '}
            {line.task.openedBy} {moment(line.task.openedAt)}.{' '}
            {line.state === 'open' ? <Left until={line.task.expiresAt} /> : line.state}
          </p>
          <ul className="rights">
            {line.mayDo.map((one) => (
              <li key={one}>{one}</li>
            ))}
          </ul>
          {line.state === 'open' && session.rights.includes('task.close') ? <CloseTask task={line} /> : null}
          <h2 className="more">What was done under it, from the first to the last</h2>
          {session.rights.includes('ledger.read') ? (
            <p className="small">
              <TakeAway href={proofOf(line.task.id)}>Take all of it as one proof</TakeAway>, for anybody to verify
              offline.
            </p>
          ) : null}
          {session.rights.includes('ledger.read') ? (
            <Shown known={replay}>
              {(page) =>
                page.entries.length === 0 ? (
                  <Empty title="Nothing yet.">Statements appear here as they come.</Empty>
                ) : (
                  <>
                    {page.next === null ? null : (
                      <p className="small">
                        The last {page.entries.length} entries.{' '}
                        <Link href={`/activity?task=${line.task.id}`}>See all of them</Link>
                      </p>
                    )}
                    <EntryList entries={page.entries.toReversed()} inTask />
                  </>
                )
              }
            </Shown>
          ) : (
            <p className="small quiet">The ledger is not yours to read.</p>
          )}
        </>
      )}
    </Shown>
  );
}

function CloseTask({ task: { task } }: { readonly task: TaskLine }) {
  const [asks, setAsks] = useState(false);
  const [trouble, setTrouble] = useState<Error | null>(null);
  const close = () => {
    send(`/api/tasks/${task.id}/close`).then(
      () => {
        setAsks(false);
        refetchAll();
      },
      (error: unknown) => setTrouble(error instanceof Error ? error : new Error(String(error))),
    );
  };
  return (
    <p className="more">
      <button type="button" className="button stop" onClick={() => setAsks(true)}>
        Close this task …
      </button>
      {asks ? (
        <Dialog title={`Close the task of ${task.agent}?`} onClose={() => setAsks(false)}>
          <p>
            Its sessions end, its token is worth nothing from then on, its branches are dropped, and plans of it that
            wait stay for people to decide.
          </p>
          {trouble === null ? null : <Failed error={trouble} />}
          <div className="dialog-buttons">
            <button type="button" className="button stop" onClick={close}>
              Close it
            </button>
            <button type="button" className="button plain" onClick={() => setAsks(false)}>
              Leave it open
            </button>
          </div>
        </Dialog>
      ) : null}
    </p>
  );
}
