import type { RowSample } from '../../../src/domain/effect.ts';
import { visible } from './words.ts';

const COLUMNS = 7;
const ROWS = 4;

/** A few rows before and after, a table at a time; the columns that change come first. */
export function RowSamples({
  samples,
  first,
}: {
  readonly samples: readonly RowSample[];
  /** Tables that the statement names itself. */
  readonly first: readonly string[];
}) {
  const byTable = [...Map.groupBy(samples, ({ table }) => table)];
  return byTable
    .sort(([a], [b]) => Number(first.includes(b)) - Number(first.includes(a)))
    .map(([table, some]) => <TableSamples key={table} table={table} samples={some.slice(0, ROWS)} />);
}

function TableSamples({ table, samples }: { readonly table: string; readonly samples: readonly RowSample[] }) {
  const columns = columnsOf(samples);
  const shown = columns.slice(0, COLUMNS);
  return (
    // It scrolls sideways, and must do so by keyboard as well.
    // biome-ignore lint/a11y/noNoninteractiveTabindex: see above
    <section className="sample" tabIndex={0} aria-label={`Examples of ${table}`}>
      <table>
        <caption>{table}</caption>
        <thead>
          <tr>
            <th scope="col">
              <span className="unseen">When</span>
            </th>
            {shown.map((column) => (
              <th key={column} scope="col">
                {column}
              </th>
            ))}
            {columns.length > shown.length ? <th scope="col">+{columns.length - shown.length} columns</th> : null}
          </tr>
        </thead>
        <tbody>
          {samples.map((sample, index) => (
            // The samples of a plan never change, and have no name of their own.
            // biome-ignore lint/suspicious/noArrayIndexKey: see above
            <SampleRows key={index} sample={sample} columns={shown} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function SampleRows({ sample, columns }: { readonly sample: RowSample; readonly columns: readonly string[] }) {
  const { before, after } = sample;
  const changed = (column: string) => before !== null && after !== null && before[column] !== after[column];
  const line = (row: NonNullable<RowSample['before']>, sign: string, className: string) => (
    <tr className={className}>
      <th scope="row" className="sign">
        {sign}
      </th>
      {columns.map((column) => (
        <td key={column} className={changed(column) ? 'changed' : undefined} title={shown(row[column])}>
          {shown(row[column])}
        </td>
      ))}
    </tr>
  );
  return (
    <>
      {before === null ? null : line(before, after === null ? 'deleted' : 'before', after === null ? 'gone' : 'before')}
      {after === null ? null : line(after, before === null ? 'new' : 'after', before === null ? 'new' : 'after')}
    </>
  );
}

function columnsOf(samples: readonly RowSample[]): readonly string[] {
  const all = [...new Set(samples.flatMap(({ before, after }) => Object.keys(after ?? before ?? {})))];
  const changes = (column: string) =>
    samples.some(({ before, after }) => before !== null && after !== null && before[column] !== after[column]);
  const rank = (column: string) => (/^id$/.test(column) ? 0 : changes(column) ? 1 : 2);
  return all.sort((a, b) => rank(a) - rank(b));
}

function shown(value: string | null | undefined): string {
  return value === null || value === undefined ? 'NULL' : visible(value);
}
