/** The letters of an access privilege (PostgreSQL, "Privileges", table 5.1). */
const PRIVILEGES: Readonly<Record<string, string>> = {
  r: 'SELECT',
  a: 'INSERT',
  w: 'UPDATE',
  d: 'DELETE',
  D: 'TRUNCATE',
  x: 'REFERENCES',
  t: 'TRIGGER',
  m: 'MAINTAIN',
  X: 'EXECUTE',
  U: 'USAGE',
  C: 'CREATE',
  c: 'CONNECT',
  T: 'TEMPORARY',
};

/** What an owner holds where nothing was ever granted, and what everybody does. MAINTAIN came with 17 and makes no difference. */
const TABLES = { owner: 'arwdDxt', all: '' };
const CODE = { owner: 'X', all: 'X' };
const DEFAULTS: Readonly<Record<string, { readonly owner: string; readonly all: string }>> = {
  table: TABLES,
  'partitioned table': TABLES,
  view: TABLES,
  'materialized view': TABLES,
  'foreign table': TABLES,
  'composite type': TABLES,
  sequence: { owner: 'rwU', all: '' },
  schema: { owner: 'UC', all: '' },
  function: CODE,
  procedure: CODE,
  aggregate: CODE,
  'rights on type': { owner: 'U', all: 'U' },
  database: { owner: 'CTc', all: 'Tc' },
  'foreign server': { owner: 'U', all: '' },
};

/**
 * Who may do what, one grantee a line: `reporting: SELECT`. That nothing was ever granted and that the same was granted
 * in so many words are equal; grants to logins of tasks come and go with the tasks, and are left out.
 *
 * @param acl an array of access privileges as PostgreSQL writes it; `null` where there never was a GRANT.
 */
export function grantsOf(kind: string, owner: string | null, acl: string | null): readonly string[] {
  const defaults = DEFAULTS[kind];
  const held = new Map<string, string>();
  if (acl !== null) {
    for (const { grantee, letters } of items(acl)) held.set(grantee, (held.get(grantee) ?? '') + letters);
  } else if (defaults !== undefined) {
    if (owner !== null) held.set(owner, defaults.owner);
    if (defaults.all !== '') held.set('', defaults.all);
  }
  if (owner !== null && defaults !== undefined) {
    const own = held.get(owner) ?? '';
    // It is what everybody expects of an owner; less than that is worth a line.
    if ([...defaults.owner].every((letter) => own.includes(letter))) held.delete(owner);
    else held.set(owner, own);
  }
  return [...held]
    .filter(([grantee]) => !LOGIN_OF_TASK.test(grantee))
    .map(([grantee, letters]) => `${grantee === '' ? 'PUBLIC' : grantee}: ${spelled(letters)}`)
    .sort();
}

const LOGIN_OF_TASK = /^cs_[0-9a-f]{16}_[rw]$/;

function items(acl: string): { grantee: string; letters: string }[] {
  return [...acl.matchAll(/"((?:[^"\\]|\\.)*)"|[^,{}]+/g)].flatMap(([plain, quoted]) => {
    const item = quoted === undefined ? plain : quoted.replaceAll(/\\(.)/g, '$1');
    const [, name = '', letters = ''] = /^("(?:[^"]|"")*"|[^=]*)=([A-Za-z*]*)/.exec(item) ?? [];
    const grantee = name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name;
    return [{ grantee, letters }];
  });
}

function spelled(letters: string): string {
  const found = [...letters.matchAll(/([A-Za-z])(\*?)/g)].map(
    ([, letter = '', star]) => `${PRIVILEGES[letter] ?? letter}${star === '*' ? ' (may grant it on)' : ''}`,
  );
  return [...new Set(found)].sort().join(', ') || 'nothing';
}
