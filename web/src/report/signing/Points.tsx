import { Checkbox } from "../../shell/Field";
import { Alert } from "../../shell/icons";
import type { Point } from "./readiness";
import styles from "./Signing.module.css";

/** What stands against a signature: what stops it, what must be ticked, what is only said. */
export function Points(props: {
  points: readonly Point[];
  confirmed: ReadonlySet<string>;
  onChange(confirmed: ReadonlySet<string>): void;
}) {
  const { points, confirmed, onChange } = props;
  const of = (kind: Point["kind"]) => points.filter((each) => each.kind === kind);
  const [stops, confirms, notes] = [of("stop"), of("confirm"), of("note")];
  if (points.length === 0) return <p className={styles.ready}>Nothing stands against it.</p>;
  return (
    <section className={styles.points} aria-label="Before you sign">
      {stops.map((each) => (
        <p key={each.id} className={styles.stop} role="alert">
          <Alert /> <span>{each.text}</span>
        </p>
      ))}
      {confirms.length > 0 && (
        <fieldset className={styles.confirms}>
          <legend>Confirm before you sign</legend>
          {confirms.map((each) => (
            <Checkbox
              key={each.id}
              value={confirmed.has(each.id)}
              onChange={(value) => {
                const next = new Set(confirmed);
                if (value) next.add(each.id);
                else next.delete(each.id);
                onChange(next);
              }}
            >
              {each.text}
            </Checkbox>
          ))}
        </fieldset>
      )}
      {notes.length > 0 && (
        <ul className={styles.notes}>
          {notes.map((each) => (
            <li key={each.id}>{each.text}</li>
          ))}
        </ul>
      )}
    </section>
  );
}
