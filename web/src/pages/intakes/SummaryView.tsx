import type { IntakeFinding, IntakeSummary } from "../../api/types";
import { LevelBadge } from "../../intake/LevelBadge";
import styles from "./Intakes.module.css";

/** What was concluded from the answers, in the order in which a clinician takes a history; red flags first. */
export function SummaryView({ summary }: { summary: IntakeSummary }) {
  return (
    <section aria-label="Summary">
      <div className={styles.flags}>
        <h2 className={styles.heading}>Red flags</h2>
        <Findings findings={summary.red_flags} none="None named" />
        <h3 className={styles.heading}>Why this level</h3>
        <ul className={styles.list}>
          {summary.reasons.map((reason) => (
            <li key={`${reason.rule} ${reason.level}`}>
              <LevelBadge level={reason.level} /> {reason.text}
              {reason.possible && " (possible)"}{" "}
              <span className={styles.quiet}>
                {reason.source}
                {!reason.reviewed && ", source not reviewed"}
              </span>
            </li>
          ))}
          {summary.reasons.length === 0 && <li>No rule applies</li>}
        </ul>
      </div>
      <Part title="Patient">
        {[summary.age, summary.sex, summary.pregnancy].filter(Boolean).join(", ") || "Not known"}; answered by{" "}
        {summary.answered_by}
      </Part>
      <Part title="Complaint">{summary.complaint || "Not known"}</Part>
      {summary.history.length > 0 && (
        <Part title="History of the present illness">
          <ul className={styles.list}>
            {summary.history.map((said) => (
              <li key={said.label}>
                {said.label}: {said.value}
              </li>
            ))}
          </ul>
        </Part>
      )}
      <Part title="Present">
        <Findings findings={summary.positives} none="None" />
      </Part>
      <Part title="Absent">{summary.negatives.map((one) => one.label).join("; ") || "Not asked"}</Part>
      {summary.not_known.length > 0 && (
        <Part title="Not known">{summary.not_known.map((one) => one.label).join("; ")}</Part>
      )}
      <Part title="Past history">
        <Findings findings={summary.past_history} none="None named" />
      </Part>
      <Part title="Medicines">{summary.medications || "Not asked"}</Part>
      <Part title="Allergies">{summary.allergies || "Not asked"}</Part>
      {summary.other && <Part title="Other">{summary.other}</Part>}
      {summary.not_asked.length > 0 && <Part title="Not asked">{summary.not_asked.join(", ")}</Part>}
    </section>
  );
}

function Part({ title, children }: { title: string; children: React.ReactNode }) {
  return (
    <>
      <h3 className={styles.heading}>{title}</h3>
      <div>{children}</div>
    </>
  );
}

function Findings({ findings, none }: { findings: IntakeFinding[]; none: string }) {
  if (findings.length === 0) return <span>{none}</span>;
  return (
    <ul className={styles.list}>
      {findings.map((one) => (
        <li key={one.label}>
          {one.label}
          {one.quote && <span className={styles.quote}> “{one.quote}”</span>}
          {one.denied && " (also denied)"}
        </li>
      ))}
    </ul>
  );
}
