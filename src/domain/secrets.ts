/** What becomes of values in a result that look like secrets. */
export const SECRET_MODES = ['off', 'report', 'redact'] as const;
export type SecretMode = (typeof SECRET_MODES)[number];

/** How often something of a kind was found. */
export interface FoundSecrets {
  readonly kind: string;
  readonly count: number;
}

/** Forms that hardly anything but such a secret has: what may be one by chance is not looked for. */
const FORMS: readonly (readonly [kind: string, form: RegExp])[] = [
  [
    'private key',
    /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----(?:[\s\S]*?-----END (?:[A-Z0-9]+ )*PRIVATE KEY-----|[\s\S]*)/g,
  ],
  ['AWS access key', /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/g],
  ['Google API key', /\bAIza[0-9A-Za-z_-]{35}(?![0-9A-Za-z_-])/g],
  ['GitHub token', /\b(?:gh[pousr]_[0-9A-Za-z]{36,}|github_pat_[0-9A-Za-z_]{60,})\b/g],
  ['GitLab token', /\bglpat-[0-9A-Za-z_-]{20,}/g],
  ['Slack token', /\bxox[abeprs]-[0-9A-Za-z-]{10,}/g],
  ['Stripe key', /\b[rs]k_live_[0-9A-Za-z]{16,}\b/g],
  ['API key', /\bsk-(?:ant|proj|svcacct)-[0-9A-Za-z_-]{20,}/g],
  ['npm token', /\bnpm_[0-9A-Za-z]{36}\b/g],
  ['Countersign token', /\bcs[at]_[0-9A-Za-z_-]{43}(?![0-9A-Za-z_-])/g],
  ['JSON web token', /\beyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]{10,}/g],
  [
    'connection string with a password',
    /\b[a-z][a-z0-9+.-]{1,20}:\/\/[^\s:/@]{1,100}:[^\s:/@]{1,200}@[^\s/@]{1,200}/gi,
  ],
];

/** Counts what looks like secrets in texts, and takes it out where that is asked for. */
export function createSecretGuard(mode: Exclude<SecretMode, 'off'>): {
  guard<Text extends string | null | undefined>(text: Text): Text;
  readonly found: readonly FoundSecrets[];
} {
  const found = new Map<string, number>();
  return {
    guard(text) {
      if (text == null) return text;
      let guarded: string = text;
      for (const [kind, form] of FORMS) {
        guarded = guarded.replace(form, (secret) => {
          found.set(kind, (found.get(kind) ?? 0) + 1);
          return mode === 'redact' ? `[${kind}, taken out]` : secret;
        });
      }
      return guarded as typeof text;
    },
    get found() {
      return [...found].map(([kind, count]) => ({ kind, count }));
    },
  };
}
