import { useState } from 'react';
import type { TaskPage as Page } from '../../../src/pipeline/oversight/oversight.ts';
import { useKept, useLive } from '../live.ts';
import { Link } from '../parts/link.tsx';
import { Empty, Shown } from '../parts/states.tsx';
import { Ago, Left } from '../parts/time.tsx';
import { grouped, visible } from '../parts/words.ts';

const STEP = 30;

/** What agents are at, and what each of these tasks may do now. */
export function TasksPage() {
  const [limit, setLimit] = useState(STEP);
  const known = useKept(useLive<Page>(`/api/tasks?limit=${limit}`), 'tasks');
  return (
    <>
      <div className="page-head">
        <h1>Tasks, and what each may do now</h1>
      </div>
      <Shown known={known}>
        {({ tasks, next }) =>
          tasks.length === 0 ? (
            <Empty title="No task was opened yet.">
              An agent has no right at all until a task gives it some:{' '}
              <code>countersign task open --file task.yaml</code>
            </Empty>
          ) : (
            <>
              <ul>
                {tasks.map(({ task, state, mayDo, rowsUsed, closedAt, halted }) => (
                  <li key={task.id} className="record">
                    <div>
                      <h2>
                        <Link href={`/tasks/${task.id}`}>{task.agent}</Link>
                      </h2>
                      <p className="small quiet">
                        {task.onBehalfOf === task.agent ? 'on its own account' : `for ${task.onBehalfOf}`}
                        <br />
                        <code>{task.id}</code>
                      </p>
                    </div>
                    <div>
                      <p>{visible(task.purpose)}</p>
                      {halted === null ? null : <p className="bad small">{halted}</p>}
                      {state === 'open' ? (
                        <ul className="rights small">
                          {mayDo.map((line) => (
                            <li key={line}>{line}</li>
                          ))}
                        </ul>
                      ) : (
                        <p className="small quiet">It may do nothing any more. It changed {grouped(rowsUsed)} rows.</p>
                      )}
                    </div>
                    <p className="small nums">
                      {state === 'open' ? (
                        <Left until={task.expiresAt} />
                      ) : (
                        <span className="quiet">
                          {state} <Ago at={closedAt ?? task.expiresAt} />
                        </span>
                      )}
                    </p>
                  </li>
                ))}
              </ul>
              {next === null || limit >= 200 ? null : (
                <div className="more">
                  <button type="button" className="button" onClick={() => setLimit(Math.min(200, limit + STEP))}>
                    Show more
                  </button>
                </div>
              )}
            </>
          )
        }
      </Shown>
    </>
  );
}
