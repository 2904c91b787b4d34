import { Field } from "../../shell/Field";
import { Check, Dots } from "../../shell/icons";
import { advice } from "./password";
import styles from "./SignIn.module.css";

interface NewPasswordProps {
  label?: string;
  login: string;
  value: string;
  again: string;
  onChange: (value: string) => void;
  onAgain: (value: string) => void;
}

/** A new password, typed twice, with advice that follows what is typed. */
export function NewPassword({ label = "Password", login, value, again, onChange, onAgain }: NewPasswordProps) {
  const differs = again !== "" && again !== value;
  return (
    <>
      <Field
        label={label}
        type="password"
        value={value}
        onChange={onChange}
        autoComplete="new-password"
        isRequired
        maxLength={1024}
        hint={
          <span className={styles.advice}>
            {advice(value, login).map(({ text, met }) => (
              <span key={text} className={met ? styles.met : ""}>
                {met ? <Check /> : <Dots />} {text}
                <span className={styles.unseen}>{met ? ": done" : ""}</span>
              </span>
            ))}
          </span>
        }
      />
      <Field
        label="The same again"
        type="password"
        value={again}
        onChange={onAgain}
        autoComplete="new-password"
        isRequired
        error={differs ? "The two are not the same." : ""}
      />
    </>
  );
}
