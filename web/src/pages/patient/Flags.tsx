import { useState } from "react";
import { at } from "../../api/client";
import { useGet } from "../../api/queries";
import type { PatientRecord, RecordFlags } from "../../api/types";
import { Select } from "../../shell/Field";
import { moment } from "../../shell/format";
import { ErrorState, Loading } from "../../shell/states";
import styles from "./Flags.module.css";
import { SeverityBadge } from "./severity";
import { Stated } from "./source/Stated";

const WHEN = [
  { id: "auto", label: "As the record stands" },
  { id: "now", label: "Judged now" },
  { id: "newest", label: "When it last learned something" },
] as const;

/** What the rules find in the record, and what they could not judge: that is never the same as nothing found. */
export function Flags({ record }: { record: PatientRecord }) {
  const [when, setWhen] = useState<(typeof WHEN)[number]["id"]>("auto");
  const { data, error, refetch } = useGet<RecordFlags>(at("patients", record.id, "flags"), { at: when });
  if (!data) return error ? <ErrorState error={error} retry={() => void refetch()} /> : <Loading />;
  const lacking = data.not_assessed.filter((each) => each.kind !== "outside");
  const outside = data.not_assessed.filter((each) => each.kind === "outside");
  return (
    <div className={styles.flags}>
      <div className={styles.tools}>
        <Select label="Moment" hideLabel options={WHEN} value={when} onChange={setWhen} />
        <span className={styles.quiet}>
          at {moment(data.at)}. {data.disclaimer}
        </span>
      </div>
      {data.flags.length === 0 && (
        <p className={styles.none}>No rule's condition holds. See below what was not judged.</p>
      )}
      <ul className={styles.list}>
        {data.flags.map((flag) => (
          <li key={flag.episode} className={styles.flag}>
            <h3 className={styles.title}>
              <SeverityBadge severity={flag.severity} />
              {flag.title}
              <span className={styles.quiet}>since {moment(flag.since)}</span>
            </h3>
            <p className={styles.text}>
              <Stated text={flag.text} cites={flag.evidence.map((each) => each.id)} />
            </p>
            {flag.missing.length > 0 && (
              <p className={styles.note}>Not documented, so it may be worse: {flag.missing.join(", ")}</p>
            )}
            {[...flag.notes, flag.advice].filter(Boolean).map((each) => (
              <p key={each} className={styles.note}>
                {each}
              </p>
            ))}
            <p className={styles.rule}>
              Rule {flag.rule} {flag.version}. {flag.source}
            </p>
          </li>
        ))}
      </ul>
      <Lacking title="Not judged, for want of data" lines={lacking} />
      <Lacking title="Not for this patient" lines={outside} />
      {data.problems.length > 0 && (
        <section>
          <h3 className={styles.head}>Of the record</h3>
          <ul className={styles.list}>
            {data.problems.map((each) => (
              <li key={each} className={styles.note}>
                {each}
              </li>
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}

function Lacking({ title, lines }: { title: string; lines: RecordFlags["not_assessed"] }) {
  if (lines.length === 0) return null;
  return (
    <section>
      <h3 className={styles.head}>
        {title} ({lines.length})
      </h3>
      <ul className={styles.lacking}>
        {lines.map((each) => (
          <li key={each.rule}>
            <strong>{each.title}</strong> {each.reason}
          </li>
        ))}
      </ul>
    </section>
  );
}
