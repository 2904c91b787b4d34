import { Link } from "react-router";
import type { PatientRecord } from "../../api/types";
import { Badge } from "../../shell/Badge";
import { ActionButton } from "../../shell/Button";
import { moment } from "../../shell/format";
import { Alert, Back } from "../../shell/icons";
import styles from "./Patient.module.css";
import { countWords, worstTone } from "./severity";
import { Stated } from "./source/Stated";

/** Who it is, and what must not be overlooked: allergies stand here on every tab. */
export function PatientHeader({ record }: { record: PatientRecord }) {
  const open = countWords(record.alarms);
  return (
    <header className={styles.header}>
      <Link to="/patients" className={styles.back} aria-label="Back to the patients">
        <Back />
      </Link>
      <div className={styles.who}>
        <h1 className={styles.name} title={record.name}>
          {record.name || "No name"}
        </h1>
        <span className={styles.facts}>
          {[
            record.sex,
            record.age,
            record.birth_date && `born ${record.birth_date}`,
            record.died && `died ${record.died}`,
            ...[...new Set(record.identifiers.map((each) => each.value))].slice(0, 2),
          ]
            .filter(Boolean)
            .join(" · ")}
        </span>
      </div>
      <section className={styles.allergies} aria-label="Allergies">
        <Alert />
        <span className={styles.label}>Allergies</span>
        {record.state !== "ready" ? (
          <span className={styles.quiet}>not read yet</span>
        ) : record.allergies.length > 0 ? (
          <span className={styles.list}>
            {record.allergies.map((each) => (
              <Stated key={each.text} text={each.text} cites={each.cites} />
            ))}
          </span>
        ) : (
          <span>Not documented. That is not the same as none.</span>
        )}
      </section>
      <div className={styles.tools}>
        {open && (
          <Link to={`/alarms?patient=${record.id}`} className={styles.alarms}>
            <Badge tone={worstTone(record.alarms)}>
              <Alert />
              {open}
            </Badge>
          </Link>
        )}
        <span className={styles.source} title={`Source: ${record.source}`}>
          {record.as_of ? `up to ${moment(record.as_of)}` : "no dated entry"}
        </span>
        <ActionButton action="patient.print" size="small" kind="ghost">
          Handoff
        </ActionButton>
      </div>
    </header>
  );
}
