import { Dialog } from './dialog.tsx';

const KEYS = [
  [['j', 'k'], 'the next, the previous plan'],
  [['Enter'], 'open the chosen plan'],
  [['a'], 'approve the plan that is open'],
  [['r'], 'reject it'],
  [['/'], 'search'],
  [['Esc'], 'back to the queue; out of a field or a question'],
  [['1', '–', '5'], 'the sections'],
  [['H'], 'to the halt'],
  [['?'], 'this list'],
] as const;

/** Which keys there are. */
export function ShortcutsDialog({ onClose }: { readonly onClose: () => void }) {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl className="facts">
        {KEYS.map(([keys, what]) => (
          <div key={what} className="fact">
            <dt>{keys.map((key) => (key === '–' ? ' – ' : <kbd key={key}>{key}</kbd>))}</dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <form method="dialog">
        <button type="submit" className="button">
          Close
        </button>
      </form>
    </Dialog>
  );
}
