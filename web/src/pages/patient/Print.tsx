import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearchParams } from "react-router";
import { api, at } from "../../api/client";
import { useGet, useSession } from "../../api/queries";
import type { PatientRecord, RecordSummary, SummaryForm } from "../../api/types";
import { Button } from "../../shell/Button";
import { Select } from "../../shell/Field";
import { moment, personName } from "../../shell/format";
import { EmptyState, ErrorState, Loading } from "../../shell/states";
import { useTitle } from "../../shell/useTitle";
import styles from "./Print.module.css";
import { FORMS } from "./summary/SummaryTab";

/** A form on paper: one page, black on white, with a draft's mark; what is on the screen around it is not printed. */
export default function Print() {
  const { id = "" } = useParams();
  const [params, setParams] = useSearchParams();
  const navigate = useNavigate();
  const form = (FORMS.find((each) => each.id === params.get("form"))?.id ?? "ipass") as SummaryForm;
  const known = /^\d{1,9}$/.test(id);
  useTitle("Handoff");
  const user = useSession().data?.user;
  const { data: record, error } = useQuery<PatientRecord>({
    queryKey: [at("patients"), Number(id)],
    queryFn: ({ signal }) => api.get<PatientRecord>(at("patients", id), undefined, signal),
    enabled: known,
    // What is not read yet is not absent: nothing is laid out before the record is there.
    refetchInterval: ({ state }) => (state.data?.state === "reading" ? 1000 : false),
  });
  const { data: summary, error: failed } = useGet<RecordSummary>(
    at("patients", id, "summary"),
    { form },
    { enabled: known },
  );
  // A long record is set smaller; nothing is ever cut off, so that a very long one takes a second page.
  const letters = (summary?.sections ?? [])
    .flatMap((each) => each.statements)
    .reduce((sum, each) => sum + each.text.length, 0);
  if (!known) return <EmptyState title="There is no such record" />;
  if (!record || !summary) return error || failed ? <ErrorState error={error ?? failed} /> : <Loading />;
  if (record.state === "reading") return <Loading />;
  if (record.state === "failed") return <EmptyState title="The record cannot be read" />;
  return (
    <div className={styles.desk}>
      <div className={styles.tools}>
        <Button onPress={() => void navigate(`/patient/${id}`)}>Back to the patient</Button>
        <Select label="Form" hideLabel options={FORMS} value={form} onChange={(next) => setParams({ form: next })} />
        <Button kind="primary" onPress={() => window.print()}>
          Print
        </Button>
      </div>
      <article className={`${styles.sheet} ${letters > 3600 ? styles.dense : ""}`} aria-label="Handoff">
        <p className={styles.mark} aria-hidden="true">
          DRAFT
        </p>
        <header className={styles.head}>
          <div>
            <h1 className={styles.name}>{record.name || "No name"}</h1>
            <p className={styles.facts}>
              {[record.sex, record.age, record.birth_date && `born ${record.birth_date}`].filter(Boolean).join(", ")}
              {record.identifiers.slice(0, 3).map((each) => (
                <span key={`${each.issuer} ${each.value}`}> · {each.value}</span>
              ))}
            </p>
          </div>
          <div className={styles.right}>
            <strong>{FORMS.find((each) => each.id === form)?.label}</strong>
            <span>DRAFT: check against the record</span>
            <span>record up to {summary.as_of || "an unknown date"}</span>
          </div>
        </header>
        <p className={styles.allergies}>
          <strong>Allergies: </strong>
          {record.allergies.length > 0
            ? record.allergies.map((each) => each.text).join("; ")
            : "not documented (not the same as none)"}
        </p>
        <div className={styles.sections}>
          {summary.sections.map((section) => (
            <section key={section.title} className={styles.section}>
              <h2>{section.title}</h2>
              <ul>
                {section.statements.map((each) => (
                  <li key={each.text}>{each.text}</li>
                ))}
              </ul>
            </section>
          ))}
          {summary.omissions.length > 0 && (
            <section className={styles.section}>
              <h2>Not in the sections above</h2>
              <ul>
                {summary.omissions.map((each) => (
                  <li key={each.text}>{each.text}</li>
                ))}
              </ul>
            </section>
          )}
        </div>
        <footer className={styles.foot}>
          <span>
            Laid out by Aris from {record.source}; printed {moment(new Date().toISOString())} by{" "}
            {personName(user?.name ?? "") || user?.login}. Unsigned.
          </span>
          <span className={styles.sign}>Given by / taken by</span>
        </footer>
      </article>
    </div>
  );
}
