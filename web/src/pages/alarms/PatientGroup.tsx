import { Link } from "react-router";
import { Badge } from "../../shell/Badge";
import { since } from "../../shell/format";
import { SeverityBadge } from "../patient/severity";
import styles from "./Alarms.module.css";
import type { PatientAlarms } from "./group";

interface PatientGroupProps {
  group: PatientAlarms;
  now: number;
  chosen: string;
  onChoose(id: string): void;
}

/** A patient's alarms, those of one problem together. */
export function PatientGroup({ group, now, chosen, onChoose }: PatientGroupProps) {
  return (
    <section className={styles.group}>
      <h2 className={styles.patient}>
        <Link to={`/patient/${group.patient}?tab=flags`} className={styles.name}>
          {group.name || "No name"}
        </Link>
        <span className={styles.quiet}>
          {[group.sex, group.birth_date && `born ${group.birth_date}`].filter(Boolean).join(", ")}
        </span>
      </h2>
      {group.problems.map(({ problem, alarms }) => (
        <div key={problem} className={styles.problem}>
          {alarms.map((alarm) => (
            <button
              key={alarm.id}
              id={`alarm-${alarm.id}`}
              type="button"
              className={styles.row}
              aria-current={alarm.id === chosen}
              onClick={() => onChoose(alarm.id)}
            >
              <SeverityBadge severity={alarm.severity} />
              <span className={styles.title}>
                {alarm.title}
                {alarm.worse_since_act && alarm.state === "open" && <Badge tone="critical">worse again</Badge>}
                {alarm.state === "snoozed" && <Badge>snoozed</Badge>}
                {alarm.state === "ended" && <Badge>{alarm.ended_reason || "ended"}</Badge>}
              </span>
              <span className={styles.text} title={alarm.text}>
                {alarm.text}
              </span>
              <span className={styles.since}>{since(alarm.since, now)}</span>
            </button>
          ))}
        </div>
      ))}
    </section>
  );
}
