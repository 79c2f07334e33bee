import { useId } from 'react';

/** Where a person says why: within the bounds that the gateway sets. */
export function ReasonField({
  label,
  value,
  onChange,
  hint,
  long = false,
  optional = false,
}: {
  readonly label: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
  /** Who will read it. */
  readonly hint?: string;
  readonly long?: boolean;
  readonly optional?: boolean;
}) {
  const id = useId();
  const Field = long ? 'textarea' : 'input';
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <Field
        id={id}
        required={!optional}
        minLength={optional ? undefined : 3}
        maxLength={500}
        value={value}
        onChange={(event: { readonly target: { readonly value: string } }) => onChange(event.target.value)}
      />
      {hint === undefined ? null : <span className="why">{hint}</span>}
    </div>
  );
}
