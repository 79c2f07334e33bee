/** PostgreSQL's operators have fewer than 64 characters; a few may stand side by side. */
const MAX_RUN = 256;
/** Comments that begin within one run of operator characters, or within one another. */
const MAX_COMMENTS = 32;

/** Strings, quoted names, dollar quotes, words and line comments as PostgreSQL's scanner takes them, or a run of operator characters. */
const TOKEN =
  /[eE]'(?:[^'\\]|\\[\s\S]|'')*(?:'|$)|'(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$)|\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|--[^\n\r]*|[-+*/<>=~!@#%^&|`?]+|[\s\S]/gy;
const RUN = /[-+*/<>=~!@#%^&|`?]{257,}/;

/**
 * Whether a text holds a run of operator characters so long that nobody has written it: the parser's scanner would keep
 * everybody waiting over it. Strings, comments and lines of dashes may be as long as they like.
 */
export function hasEndlessOperators(text: string): boolean {
  // Where there is no long run, nothing need be told apart.
  if (!RUN.test(text)) return false;
  TOKEN.lastIndex = 0;
  for (let match = TOKEN.exec(text); match !== null; match = TOKEN.exec(text)) {
    const [token] = match;
    if (DOLLAR.test(token)) {
      const end = text.indexOf(token, TOKEN.lastIndex);
      if (end === -1) return false;
      TOKEN.lastIndex = end + token.length;
    } else if (OPERATOR.test(token) && !token.startsWith('--')) {
      const next = afterRun(text, token, match.index);
      if (next === 'endless') return true;
      TOKEN.lastIndex = next;
    }
  }
  return false;
}

const DOLLAR = /^\$.*\$$/s;
const OPERATOR = /^[-+*/<>=~!@#%^&|`?]/;

/**
 * Where to go on after a run of operator characters, in which a comment may begin. The scanner looks at a run anew for
 * each operator and each comment that begins in it: 80 kB of them keep it busy for seconds.
 */
function afterRun(text: string, run: string, start: number): number | 'endless' {
  const comment = run.indexOf('/*');
  const dashes = run.indexOf('--');
  if (run.length > MAX_RUN && run.split('/*').length > MAX_COMMENTS) return 'endless';
  if (comment !== -1 && (dashes === -1 || comment < dashes))
    return comment > MAX_RUN ? 'endless' : endOfComment(text, start + comment);
  if (dashes !== -1) return dashes > MAX_RUN ? 'endless' : start + dashes;
  return run.length > MAX_RUN ? 'endless' : start + run.length;
}

/** Comments nest. Inside of one, a run is looked at again for each comment that begins in it. */
function endOfComment(text: string, start: number): number | 'endless' {
  const mark = /\/\*|\*\//g;
  mark.lastIndex = start;
  let depth = 0;
  let opened = 0;
  for (let match = mark.exec(text); match !== null; match = mark.exec(text)) {
    if (match[0] === '/*') {
      depth++;
      if (++opened > MAX_COMMENTS) return 'endless';
    } else if (--depth === 0) {
      return mark.lastIndex;
    }
  }
  return text.length;
}
