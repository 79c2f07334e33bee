import { useEffect, useRef, useState } from 'react';
import type { ActivityPage as Page } from '../../../src/pipeline/oversight/activity.ts';
import { useKeys } from '../keys.ts';
import { useKept, useLive } from '../live.ts';
import { EntryList } from '../parts/entries.tsx';
import { LedgerStandingPart } from '../parts/ledger-standing.tsx';
import { Empty, Shown } from '../parts/states.tsx';
import { TakeAway } from '../parts/take-away.tsx';
import { grouped, moment } from '../parts/words.ts';
import { go, usePlace } from '../router.ts';

const FIELDS = [
  ['actor', 'Who', 'migrator'],
  ['task', 'Task', 'task_…'],
  ['target', 'Target', 'rental-production'],
  ['table', 'Table', 'public.orders'],
] as const;

const KINDS = [
  ['', 'Everything'],
  ['decision=hold', 'Held'],
  ['decision=deny', 'Denied'],
  ['decision=allow', 'Written within limits'],
  ['decision=approve', 'Approved'],
  ['decision=reject', 'Rejected'],
  ['decision=applied', 'Took effect'],
  ['kind=reads', 'Reads'],
  ['kind=task opened', 'Tasks opened'],
  ['decision=halt', 'Halts'],
  ['kind=break-glass', 'Acted alone'],
  ['kind=backup', 'Backups'],
  ['kind=drill', 'Drills'],
] as const;

/** The ledger as people read it: filters and place are in the address, so that what was found can be passed on. */
export function ActivityPage() {
  const { query } = usePlace();
  const address = `/api/activity?${new URLSearchParams([...query, ['limit', '60']])}`;
  const known = useKept(useLive<Page>(address), 'activity');
  const search = useRef<HTMLInputElement>(null);
  useKeys({ '/': () => search.current?.focus(), Escape: () => search.current?.blur() });
  return (
    <>
      <div className="page-head">
        <h1>Activity</h1>
        <Search field={search} />
      </div>
      <LedgerStandingPart />
      <Filters />
      <Shown known={known}>{(page) => <Entries page={page} />}</Shown>
    </>
  );
}

function Entries({ page }: { readonly page: Page }) {
  const { query } = usePlace();
  const filtered = [...query.keys()].length > 0;
  const behind = page.size - page.filed;
  return (
    <>
      <div className="tally small">
        <p className="quiet nums" role="status">
          {grouped(page.size)} entries in the ledger, each signed for as it came.{' '}
          {behind > 0 ? `The newest ${grouped(behind)} are not found by filters yet; they are being filed.` : ''}
        </p>
        <p>
          {filtered ? 'Take what these filters find: ' : 'Take the newest: '}
          <TakeAway href={exported(query, 'jsonl')}>JSON lines</TakeAway>{' '}
          <TakeAway href={exported(query, 'csv')}>CSV</TakeAway>
        </p>
      </div>
      {page.entries.length === 0 ? (
        <Empty title={filtered ? 'No entry says that.' : 'The ledger is empty.'}>
          {page.searchedBackTo === null
            ? 'Filters must all apply. Take one away to see more.'
            : `Looked back to ${moment(page.searchedBackTo)}.`}
        </Empty>
      ) : (
        <EntryList entries={page.entries} />
      )}
      <div className="more">
        {page.next === null ? null : (
          <button type="button" className="button" onClick={() => go(withValue(query, 'before', String(page.next)))}>
            {page.searchedBackTo === null ? 'Older' : `Search further back than ${moment(page.searchedBackTo)}`}
          </button>
        )}
        {query.has('before') ? (
          <button type="button" className="button plain" onClick={() => go(withValue(query, 'before', ''))}>
            To the newest
          </button>
        ) : null}
      </div>
    </>
  );
}

function Search({ field }: { readonly field: React.RefObject<HTMLInputElement | null> }) {
  const { query } = usePlace();
  return (
    <form
      className="search"
      onSubmit={(event) => {
        event.preventDefault();
        go(withValue(query, 'text', field.current?.value.trim() ?? ''));
      }}
    >
      <label className="unseen" htmlFor="search">
        Search entries
      </label>
      <input
        id="search"
        ref={field}
        type="search"
        placeholder="Any word of an entry …  /"
        defaultValue={query.get('text') ?? ''}
        key={query.get('text')}
      />
    </form>
  );
}

function Filters() {
  const { query } = usePlace();
  const kind = ['decision', 'kind'].flatMap((name) => (query.has(name) ? [`${name}=${query.get(name)}`] : []))[0] ?? '';
  return (
    <div className="filters">
      <div className="field">
        <label htmlFor="kind">What</label>
        <select
          id="kind"
          value={kind}
          onChange={(event) => {
            const [name = '', value = ''] = event.target.value.split('=');
            const cleared = new URLSearchParams([...query].filter(([key]) => key !== 'kind' && key !== 'decision'));
            go(withValue(cleared, name, value));
          }}
        >
          {KINDS.map(([value, said]) => (
            <option key={value} value={value}>
              {said}
            </option>
          ))}
        </select>
      </div>
      {FIELDS.map(([name, said, example]) => (
        <FilterField key={name} name={name} said={said} example={example} />
      ))}
      <TimeField name="from" said="From" />
      <TimeField name="until" said="Until" />
    </div>
  );
}

function FilterField({
  name,
  said,
  example,
}: {
  readonly name: string;
  readonly said: string;
  readonly example: string;
}) {
  const { query } = usePlace();
  const given = query.get(name) ?? '';
  const [value, setValue] = useState(given);
  useEffect(() => setValue(given), [given]);
  const commit = () => {
    if (value.trim() !== given) go(withValue(query, name, value.trim()));
  };
  return (
    <div className="field">
      <label htmlFor={name}>{said}</label>
      <input
        id={name}
        value={value}
        placeholder={example}
        autoComplete="off"
        spellCheck={false}
        onChange={(event) => setValue(event.target.value)}
        onBlur={commit}
        onKeyDown={(event) => {
          if (event.key === 'Enter') commit();
        }}
      />
    </div>
  );
}

function TimeField({ name, said }: { readonly name: string; readonly said: string }) {
  const { query } = usePlace();
  const given = query.get(name);
  return (
    <div className="field">
      <label htmlFor={name}>{said}</label>
      <input
        id={name}
        type="datetime-local"
        defaultValue={given === null ? '' : localValue(given)}
        key={given}
        onBlur={(event) => {
          const { value } = event.target;
          const next = value === '' ? '' : new Date(value).toISOString();
          if (value !== (given === null ? '' : localValue(given))) go(withValue(query, name, next));
        }}
      />
    </div>
  );
}

/** As the field wants it: local, without a zone. */
function localValue(instant: string): string {
  const date = new Date(instant);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** All that the filters find, not from this page on. */
function exported(query: URLSearchParams, format: string): string {
  const asked = [...query].filter(([key]) => key !== 'before');
  return `/api/activity/export?${new URLSearchParams([...asked, ['format', format]])}`;
}

/** Another filter begins at the newest entry again. */
function withValue(query: URLSearchParams, name: string, value: string): string {
  const next = new URLSearchParams([...query].filter(([key]) => key !== name && key !== 'before'));
  if (name !== '' && value !== '') next.set(name, value);
  const text = next.toString();
  return text === '' ? '/activity' : `/activity?${text}`;
}
