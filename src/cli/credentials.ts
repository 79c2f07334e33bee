import type { Command } from 'commander';
import pc from 'picocolors';
import { auditCredentials, type Credentials } from '../doctor/credentials/audit.ts';
import { waysOf } from '../doctor/credentials/logins.ts';
import { renderFindings } from '../doctor/render.ts';
import { type Answer, answer, type CommonOptions, configOf, withCommonOptions } from './command.ts';
import { EXIT } from './exit.ts';

/** Adds `countersign credentials list|audit`: who can get at the targets, past the gateway and through it. Both change nothing. */
export function registerCredentials(program: Command): void {
  const credentials = program
    .command('credentials')
    .description('who can get at the targets, past the gateway and through it, and with what power');
  withCommonOptions(
    credentials.command('list').description('list every login of the servers, and every token, session and key'),
  ).action((options: CommonOptions) => answer(options, async () => list(await look(options))));
  withCommonOptions(
    credentials
      .command('audit')
      .description('say what of it should not be, each with what closes it (0 nothing, 1 something, 3 not to be seen)'),
  ).action((options: CommonOptions) => answer(options, async () => audit(await look(options))));
}

async function look(options: CommonOptions): Promise<Credentials> {
  return auditCredentials(await configOf(options), {
    env: process.env,
    directory: process.cwd(),
    nowMs: Date.now(),
  });
}

function list({ targets, tokens, findings }: Credentials): Answer {
  const color = pc.createColors(process.stdout.isTTY === true && !process.env['NO_COLOR']);
  const unreached = findings.filter(({ id }) => id === 'target.reachable');
  const lines = targets.flatMap(({ target, logins }) => [
    color.bold(`Logins of ${target}`),
    ...logins.map((standing) => {
      const name = standing.login.login.padEnd(24);
      const marked = standing.own === null ? color.yellow(name) : name;
      return `  ${marked}  ${standing.own === null ? 'not Countersign’s' : standing.own}: ${standing.does.join(', ')}; ${waysOf(standing, Date.now())}`;
    }),
    '',
  ]);
  const own = tokens.map(({ kind, id, of, what, since, used, ends }) =>
    [
      `  ${kind.padEnd(12)}  ${id.padEnd(24)}  ${of}: ${what}`,
      ...(since === null ? [] : [`since ${since}`]),
      ...(used === null ? [] : [`last used ${used}`]),
      ends === null ? 'never ends' : `until ${ends}`,
    ].join('; '),
  );
  return {
    json: {
      targets: targets.map(asJson),
      tokens,
      unreached: unreached.map(({ subject, found }) => ({ subject, found })),
    },
    text: [
      ...lines,
      color.bold('Ways in at the gateway'),
      ...(own.length === 0 ? ['  none'] : own),
      ...unreached.map(({ subject, found }) => color.cyan(`? ${subject}: ${found}`)),
      '',
      `${color.dim('next')}  countersign credentials audit`,
    ].join('\n'),
    exit: unreached.length > 0 ? EXIT.unavailable : EXIT.ok,
  };
}

function audit({ findings }: Credentials): Answer {
  const color = pc.createColors(process.stdout.isTTY === true && !process.env['NO_COLOR']);
  const wrong = findings.filter(({ verdict }) => verdict !== 'ok');
  const unreached = wrong.some(({ id }) => id === 'target.reachable');
  return {
    json: { findings },
    text: renderFindings(findings, color),
    exit: wrong.length === 0 ? EXIT.ok : unreached ? EXIT.unavailable : EXIT.refused,
  };
}

function asJson({ target, logins }: Credentials['targets'][number]) {
  return {
    target,
    logins: logins.map(({ login, rank, does, own, lines, connected }) => ({
      ...login,
      rank,
      does,
      own,
      hbaLines: lines?.map(({ line, type, address, method }) => ({ line, type, address, method })) ?? null,
      connected,
    })),
  };
}
