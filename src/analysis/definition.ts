/** What is found of a statement that defines, grants or maintains. */
export interface Definition {
  readonly command: string;
  readonly transactional: boolean;
}

/** What is said of one. */
export function definition(command: string, transactional: boolean): Definition {
  return { command, transactional };
}

/** `AlterRoleSetStmt` as people say it: `ALTER ROLE SET`. */
export function spoken(kind: string): string {
  return kind
    .replace(/Stmt$/, '')
    .replace(/([a-z])([A-Z])/g, '$1 $2')
    .toUpperCase();
}
