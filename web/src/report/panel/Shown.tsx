import type { Evidence } from "../evidence/useEvidence";
import { titleOf } from "../findings/words";
import styles from "./Panel.module.css";

/** What is shown on the image, in words: over the foot of the text, so that no line moves under the mouse. */
export function Shown({ evidence }: { evidence: Evidence }) {
  const { about, found, problem, slow, pinned } = evidence;
  if (about === null) return null;
  const name = about.kind === "finding" ? titleOf(about.about) : `“${about.about}”`;
  const sides = found?.sides.filter(Boolean) ?? [];
  const where = sides.length ? `, ${sides.join(" and ")}` : "";
  const none = found && found.map === null && found.regions.length === 0;
  const said = problem
    ? problem
    : found === null
      ? slow
        ? "looking… the model has much to do"
        : "looking…"
      : none
        ? found.note || "no evidence on the image"
        : `shown on the image${where}${found.note ? `; ${found.note}` : ""}`;
  return (
    <div className={styles.evidence} role="status">
      <span className={styles.about}>Evidence for {name}</span>
      <span>{said}</span>
      {found?.warnings.map((each) => (
        <span key={each} className={styles.warn}>
          {each}
        </span>
      ))}
      {pinned && (
        <button type="button" className={styles.link} onClick={() => evidence.pin(pinned)}>
          Hide
        </button>
      )}
    </div>
  );
}
