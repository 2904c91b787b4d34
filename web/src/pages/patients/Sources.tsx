import type { RecordSource } from "../../api/types";
import { Badge } from "../../shell/Badge";
import { moment } from "../../shell/format";
import styles from "./Patients.module.css";

/** How each source of records stands: what is still being read is said, and what could not be. */
export function Sources({ sources }: { sources: RecordSource[] }) {
  return (
    <ul className={styles.sources} aria-label="Sources">
      {sources.map((each) => (
        <li key={each.name}>
          <span className={styles.quiet}>{each.name}:</span> {words(each)}{" "}
          {each.problem && (
            <Badge tone="urgent" title={each.problem}>
              {each.state === "failed" ? "cannot be read" : "with problems"}
            </Badge>
          )}
        </li>
      ))}
    </ul>
  );
}

function words(source: RecordSource): string {
  const records = `${source.records.toLocaleString("en")} ${source.records === 1 ? "record" : "records"}`;
  if (source.state === "reading") return `reading ${source.read} of ${source.files} files, ${records} so far`;
  if (source.state === "waiting") return "not looked at yet";
  return `${records}${source.at ? `, looked at ${moment(source.at).slice(11)}` : ""}`;
}
