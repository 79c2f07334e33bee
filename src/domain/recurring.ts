/** When something comes round again: so long after the last time, or as a cron pattern of five fields says. */
export type Recurring = { readonly everyMs: number } | { readonly cron: string; readonly timeZone: string };
