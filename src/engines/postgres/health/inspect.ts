import type pg from 'pg';
import { type HealthReport, type HealthRequest, SEVERITIES } from '../../health.ts';
import { failureFrom } from '../run-statements.ts';
import type { Row } from './check.ts';
import { RELATION_CHECKS } from './relation-checks.ts';
import { SERVER_CHECKS } from './server-checks.ts';

const CHECK_TIMEOUT_MS = 10_000;
/** Some sizes are read under a lock: whoever changes a table is not to be queued behind a look at it. */
const LOCK_TIMEOUT_MS = 1_000;

/**
 * Looks at how a database does, on a connection of its own: a check that takes long must not keep halts and catalogue
 * waiting. Each check ends after `CHECK_TIMEOUT_MS` at the latest, changes nothing, and fails by itself.
 */
export async function inspect(connect: () => Promise<pg.Client>, request: HealthRequest): Promise<HealthReport[]> {
  const client = await connect();
  try {
    await client.query(
      `SET statement_timeout = ${CHECK_TIMEOUT_MS}; SET lock_timeout = ${LOCK_TIMEOUT_MS}; SET default_transaction_read_only = on`,
    );
    const reports: HealthReport[] = [];
    for (const { check, sql, ofRelations, findings } of [...SERVER_CHECKS, ...RELATION_CHECKS]) {
      if (!request.checks.includes(check)) continue;
      request.signal?.throwIfAborted();
      try {
        const { rows } = await client.query<Row>(sql, ofRelations ? [[...request.relations]] : []);
        const worst = (severity: (typeof SEVERITIES)[number]) => SEVERITIES.indexOf(severity);
        const found = [...findings(rows)].sort((a, b) => worst(b.severity) - worst(a.severity));
        reports.push({ check, findings: found });
      } catch (error) {
        const failure = failureFrom(error);
        if (failure === undefined) throw error;
        reports.push({ check, findings: [], unavailable: failure.message });
      }
    }
    return reports;
  } finally {
    await client.end();
  }
}
