import { type ReactNode, useState } from "react";
import { Link } from "react-router";
import type { MedicationLine, PatientRecord } from "../../api/types";
import { Badge } from "../../shell/Badge";
import { day } from "../../shell/format";
import { IntakeList } from "./Intake";
import styles from "./Overview.module.css";
import { Stated } from "./source/Stated";

/** What stands of the patient: problems, drugs with what changed, contacts, imaging, intake. */
export function Overview({ record }: { record: PatientRecord }) {
  const current = record.medications.filter((each) => each.state === "current");
  const others = record.medications.filter((each) => each.state !== "current");
  return (
    <div className={styles.overview}>
      <Part title="Problems" count={record.problems.length} none="No active problem is documented.">
        {record.problems.map((each) => (
          <li key={each.text}>
            <Stated text={each.text} cites={each.cites} />
          </li>
        ))}
      </Part>
      <Part title="Medications" count={current.length} none="No current medication is documented.">
        {current.map((each) => (
          <Drug key={each.text} drug={each} />
        ))}
      </Part>
      {others.length > 0 && (
        <Part title="Stopped, on hold, given" count={others.length}>
          {others.map((each) => (
            <Drug key={each.text} drug={each} />
          ))}
        </Part>
      )}
      <Part
        title="Encounters"
        count={record.encounters_total}
        none="No contact with care is documented."
        more={record.encounters_total - record.encounters.length}
      >
        {record.encounters.map((each) => (
          <li key={each.id}>
            <span className={styles.when}>
              {day(each.start) || "no date"}
              {each.end && day(each.end) !== day(each.start) ? ` to ${day(each.end)}` : ""}
            </span>{" "}
            <Stated text={[each.title, each.setting, each.reasons].filter(Boolean).join(", ")} cites={[each.id]}>
              {each.status === "in-progress" && <Badge tone="accent">now</Badge>}
            </Stated>
          </li>
        ))}
      </Part>
      <Part title="Imaging here" count={record.studies.length} none="No study of this patient is in the store.">
        {record.studies.map((each) => (
          <li key={each.study}>
            <span className={styles.when}>{day(each.date) || "no date"}</span>{" "}
            <Link to={`/study/${each.study}`} className={styles.link}>
              {each.description || each.modalities.join(", ") || "Study"}
            </Link>
            {!each.certain && (
              <>
                {" "}
                <Badge tone="urgent" title={each.why}>
                  possible
                </Badge>
                <span className={styles.why}>Not surely the same patient: {each.why}</span>
              </>
            )}
          </li>
        ))}
      </Part>
      <IntakeList record={record} />
      {record.others.length > 0 && (
        <Part title="Other records" count={record.others.length}>
          <li className={styles.why}>Of the same person, surely or possibly. Records are never merged.</li>
          {record.others.map((each) => (
            <li key={each.id}>
              <Link to={`/patient/${each.id}`} className={styles.link}>
                {each.name || "No name"}
              </Link>{" "}
              <span className={styles.when}>{each.source}</span>
            </li>
          ))}
        </Part>
      )}
      {(record.reading_problems.length > 0 || record.excluded.length > 0) && (
        <Part title="Left out, or read with doubt" count={record.reading_problems.length + record.excluded.length} shut>
          {[...record.reading_problems, ...record.excluded].map((each) => (
            <li key={each} className={styles.why}>
              {each}
            </li>
          ))}
        </Part>
      )}
    </div>
  );
}

const FEW = 8;

function Part({
  title,
  count,
  none = "",
  more = 0,
  shut = false,
  children,
}: {
  title: string;
  count: number;
  none?: string;
  more?: number;
  shut?: boolean;
  children: ReactNode;
}) {
  const [all, setAll] = useState(false);
  const lines = Array.isArray(children) ? children.flat() : [children];
  const shown = all ? lines : shut ? [] : lines.slice(0, FEW);
  return (
    <section className={styles.part}>
      <h2 className={styles.title}>
        {title} <span className={styles.count}>{count}</span>
      </h2>
      {count === 0 && none && <p className={styles.none}>{none}</p>}
      <ul className={styles.list}>{shown}</ul>
      {lines.length > shown.length && (
        <button type="button" className={styles.more} onClick={() => setAll(true)}>
          Show {shut ? "them" : `${lines.length - shown.length} more`}
        </button>
      )}
      {more > 0 && all && <p className={styles.none}>{more} older ones are in the timeline.</p>}
    </section>
  );
}

function Drug({ drug }: { drug: MedicationLine }) {
  return (
    <li>
      <Stated text={drug.text} cites={drug.cites} />
      {drug.change && (
        <>
          {" "}
          <Badge tone={drug.state === "current" ? "accent" : "quiet"}>{drug.change}</Badge>
        </>
      )}
    </li>
  );
}
