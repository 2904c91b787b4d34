import type { SignedReport } from "../../api/types";
import { Badge, type Tone } from "../../shell/Badge";
import { moment } from "../../shell/format";
import styles from "./Report.module.css";

const TONES: Record<string, Tone> = { done: "good", delivered: "good", acknowledged: "good", failed: "critical" };

/** Where a version went, and what became of it there. */
export function Deliveries({ report }: { report: SignedReport | null }) {
  return (
    <section>
      <h2>Deliveries</h2>
      {report === null && <p className={styles.quiet}>Nothing has left.</p>}
      {report !== null && report.deliveries.length === 0 && (
        <p className={styles.quiet}>This version goes nowhere by itself. Download it here.</p>
      )}
      <ul className={styles.list}>
        {report?.deliveries.map((each) => (
          <li key={each.destination}>
            <span className={styles.where}>
              <strong>{each.destination}</strong>
              <Badge tone={TONES[each.state] ?? (each.error ? "critical" : "urgent")}>{each.state}</Badge>
            </span>
            <span className={styles.quiet}>
              {[each.at && moment(each.at), each.attempts > 1 && `${each.attempts} attempts`]
                .filter(Boolean)
                .join(", ")}
            </span>
            {each.error && <span className={styles.failure}>{each.error}</span>}
          </li>
        ))}
      </ul>
    </section>
  );
}
