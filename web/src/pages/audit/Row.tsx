import type { AuditEvent } from "../../api/types";
import { Badge } from "../../shell/Badge";
import { moment } from "../../shell/format";
import styles from "./Audit.module.css";

/** Return the details of an event in one line. */
export function detailText(detail: Record<string, unknown>): string {
  return Object.entries(detail)
    .filter(([, value]) => value !== null && value !== "")
    .map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(", ");
}

export function Row({ event, onStudy }: { event: AuditEvent; onStudy: (study: string) => void }) {
  const failed = /fail|refused|denied/.test(event.outcome);
  return (
    <tr>
      <td>{event.number}</td>
      <td className={styles.when}>{moment(event.at, true)}</td>
      <td className={styles.user}>{event.user}</td>
      <td>{event.action}</td>
      <td>
        {event.study && (
          <button type="button" className={styles.study} onClick={() => onStudy(event.study)} title="Show only these">
            {event.study}
          </button>
        )}
      </td>
      <td>{failed ? <Badge tone="critical">{event.outcome}</Badge> : event.outcome}</td>
      <td className={styles.detail}>{detailText(event.detail)}</td>
    </tr>
  );
}
