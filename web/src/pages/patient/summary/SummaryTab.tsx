import { useState } from "react";
import { useSession } from "../../../api/queries";
import type { PatientRecord, SummaryForm } from "../../../api/types";
import { Badge } from "../../../shell/Badge";
import { Button } from "../../../shell/Button";
import { Field, Select } from "../../../shell/Field";
import { ErrorState, Loading } from "../../../shell/states";
import { Stated } from "../source/Stated";
import styles from "./Summary.module.css";
import { useSummary } from "./useSummary";

export const FORMS: { id: SummaryForm; label: string }[] = [
  { id: "summary", label: "Summary" },
  { id: "ipass", label: "Handoff (I-PASS)" },
  { id: "discharge", label: "Discharge" },
  { id: "referral", label: "Referral" },
];

/** The record in words, with what was left out and what the check struck beside it. */
export function SummaryTab({ record }: { record: PatientRecord }) {
  const [form, setForm] = useState<SummaryForm>("summary");
  const [question, setQuestion] = useState("");
  const [asked, setAsked] = useState("");
  const reads = useSession().data?.user?.role.includes("reader") ?? false;
  const { summary, sections, error, refetch, writing, write, end } = useSummary(record.id, form, asked);
  const busy = writing.state === "writing";
  return (
    <div className={styles.tab}>
      <div className={styles.tools}>
        <Select label="Form" hideLabel options={FORMS} value={form} onChange={setForm} />
        {form === "referral" && (
          <Field
            label="Question of the referral"
            hideLabel
            placeholder="What the referral asks"
            value={question}
            onChange={setQuestion}
            maxLength={500}
            onBlur={() => setAsked(question.trim())}
            onKeyDown={(event) => event.key === "Enter" && setAsked(question.trim())}
          />
        )}
        {record.summary_by && reads && writing.state !== "done" && (
          <Button size="small" onPress={busy ? end : write}>
            {busy ? "Stop writing" : `Let ${record.summary_by} word it`}
          </Button>
        )}
        {writing.state === "done" && (
          <Button size="small" onPress={end}>
            Show the facts by rule
          </Button>
        )}
        <span className={styles.by} role="status">
          {busy
            ? `${writing.model || "The model"} words it: ${writing.sections.size} of ${sections.length} sections checked`
            : writing.state === "failed"
              ? `Not worded: ${writing.problem}`
              : writing.state === "done"
                ? `Worded by ${writing.model}, each statement checked`
                : record.summary_note || "Laid out by rule"}
        </span>
      </div>
      {!summary ? (
        error ? (
          <ErrorState error={error} retry={() => void refetch()} />
        ) : (
          <Loading />
        )
      ) : (
        <div className={styles.columns}>
          <article className={styles.text} aria-busy={busy}>
            <p className={styles.draft}>
              <Badge tone="urgent">Draft</Badge> A clinician must check every line against the record. {summary.caution}
            </p>
            {summary.warnings.map((each) => (
              <p key={each} className={styles.warning}>
                {each}
              </p>
            ))}
            {sections.map((section, index) => (
              <section key={section.title} className={styles.section}>
                <h3 className={styles.title}>
                  {section.title}
                  {section.by === "model" && <Badge tone="accent">model's words</Badge>}
                  {busy && !writing.sections.has(index) && <span className={styles.quiet}>waiting</span>}
                </h3>
                {section.note && <p className={styles.note}>{section.note}</p>}
                <ul className={styles.list}>
                  {section.statements.map((each) => (
                    <li key={each.text} className={each.cites.length === 0 ? styles.uncited : ""}>
                      <Stated text={each.text} cites={each.cites} />
                    </li>
                  ))}
                </ul>
              </section>
            ))}
          </article>
          <aside className={styles.beside} aria-label="What the summary leaves out">
            <h3 className={styles.title}>Left out ({summary.omissions.length})</h3>
            {summary.omissions.length === 0 && (
              <p className={styles.note}>Every active problem, current drug, allergy and abnormal result is in it.</p>
            )}
            <ul className={styles.list}>
              {summary.omissions.map((each) => (
                <li key={`${each.kind} ${each.text}`}>
                  <Stated text={each.text} cites={each.cites} mark={`${each.kind}:`} />
                </li>
              ))}
            </ul>
            {summary.struck.length > 0 && (
              <>
                <h3 className={styles.title}>Struck by the check ({summary.struck.length})</h3>
                <ul className={styles.list}>
                  {summary.struck.map((each, index) => (
                    // biome-ignore lint/suspicious/noArrayIndexKey: a model may say a thing twice
                    <li key={index}>
                      <Stated text={each.text} cites={each.cites} struck mark={`${each.section}:`} />
                      <p className={styles.note}>{each.reason}</p>
                    </li>
                  ))}
                </ul>
              </>
            )}
          </aside>
        </div>
      )}
    </div>
  );
}
