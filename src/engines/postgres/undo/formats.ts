import type pg from 'pg';

/** Values are read and compared in the form in which capture has written them, for the rest of the transaction. */
export async function setFormats(client: pg.Client): Promise<void> {
  await client.query(
    `SET LOCAL lc_monetary = 'C'; SET LOCAL xmloption = content; SET LOCAL array_nulls = on; SET LOCAL row_security = off`,
  );
}
