/** What a tool answers: the same thing once for programs and once for a reader. */
export interface Answer<Structured> {
  readonly structured: Structured;
  readonly text: string;
  readonly isError?: boolean;
  /** The fields of `structured` that hold data of the database. */
  readonly untrusted?: readonly string[];
}
