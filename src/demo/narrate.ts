import pc from 'picocolors';

/** Tells the demo: who does what, what the gate answers, and what is true in the database afterwards. */
export interface Narrator {
  title(text: string): void;
  chapter(text: string): void;
  say(text: string): void;
  /** What somebody does, and with which tool. */
  does(who: string, what: string): void;
  /** What the gate answered: let through, held, refused. */
  answers(verdict: 'flows' | 'held' | 'denied' | 'stopped', lines: readonly string[]): void;
  /** A fact, asked of the database itself. */
  fact(text: string): void;
  shows(lines: readonly string[]): void;
  blank(): void;
}

const WIDTH = 14;

export function createNarrator(write: (text: string) => void): Narrator {
  let chapters = 0;
  const line = (label: string, text: string) => write(`  ${label}${text}\n`);
  const label = (text: string) => text.padStart(WIDTH);
  const colours = { flows: pc.green, held: pc.yellow, denied: pc.red, stopped: pc.red } as const;
  return {
    title: (text) => write(`\n${pc.bold(text)}\n`),
    chapter: (text) => write(`\n${pc.bold(`${++chapters}. ${text}`)}\n`),
    say: (text) => line('', pc.dim(text)),
    does: (who, what) => line(pc.cyan(`${label(who)} ▸ `), what),
    answers(verdict, [first = '', ...rest]) {
      line(colours[verdict](`${label(verdict)} ◂ `), first);
      for (const more of rest) line(`${label('')}   `, pc.dim(more));
    },
    fact: (text) => line(pc.green(`${label('in truth')} = `), text),
    shows(lines) {
      for (const text of lines) write(`      ${pc.dim('│')} ${text}\n`);
    },
    blank: () => write('\n'),
  };
}
