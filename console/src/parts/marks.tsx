import type { RiskLevel } from '../../../src/planning/risk.ts';

/** The environment in words on its colour; the colour is its tier’s. Never only one of the two. */
export function EnvironmentMark({ environment, tier }: { readonly environment: string; readonly tier: string }) {
  return (
    <span className="env" data-tier={tier}>
      {environment}
      {environment === tier ? '' : ` (${tier})`}
    </span>
  );
}

const STEPS: Readonly<Record<RiskLevel, number>> = { low: 1, moderate: 2, high: 3, critical: 4 };

export function RiskMark({ level, reasons }: { readonly level: RiskLevel; readonly reasons?: readonly string[] }) {
  return (
    <span className="risk" data-level={level} title={reasons?.join(', ')}>
      <svg viewBox="0 0 22 18" aria-hidden="true">
        {[1, 2, 3, 4].map((step) => (
          <rect
            key={step}
            className={step <= STEPS[level] ? 'on' : undefined}
            x={(step - 1) * 6}
            y={18 - step * 4.5}
            width="4"
            height={step * 4.5}
          />
        ))}
      </svg>
      {level} risk
    </span>
  );
}
