import { useRef } from "react";
import styles from "./Source.module.css";
import { useSource } from "./source";

/** A statement with what it rests on: pointing at it shows the resources in passing, its mark keeps them there. */
export function Stated({
  text,
  cites,
  struck = false,
  mark = "",
  children,
}: {
  text: string;
  cites: readonly string[];
  struck?: boolean;
  /** A word before it, as "model". */
  mark?: string;
  children?: React.ReactNode;
}) {
  const source = useSource();
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const shown = source.pinned && cites.length > 0 && cites.some((id) => source.ids.includes(id));
  const enter = () => {
    clearTimeout(timer.current);
    // In passing is not yet looking: a moment's rest is.
    if (cites.length > 0) timer.current = setTimeout(() => source.peek(cites), 180);
  };
  return (
    <span
      className={`${styles.stated} ${shown ? styles.shown : ""}`}
      onPointerEnter={enter}
      onPointerLeave={() => clearTimeout(timer.current)}
    >
      {mark && <span className={styles.mark}>{mark} </span>}
      {struck ? <s>{text}</s> : text}
      {children}
      {cites.length > 0 && (
        <button
          type="button"
          className={styles.cite}
          aria-label={`Show the source of: ${text.slice(0, 120)}`}
          title={cites.join(", ")}
          onClick={() => source.pin(cites)}
          onFocus={() => source.peek(cites)}
        >
          {cites.length === 1 ? kindOf(cites[0] ?? "") : `${cites.length} sources`}
        </button>
      )}
    </span>
  );
}

const SHORT: Record<string, string> = {
  MedicationRequest: "Medication",
  MedicationStatement: "Medication",
  MedicationAdministration: "Medication",
  AllergyIntolerance: "Allergy",
  DiagnosticReport: "Report",
  DocumentReference: "Document",
  ServiceRequest: "Order",
};

/** Return a citation's kind in a word: "Observation/1" is an Observation. */
export function kindOf(id: string): string {
  const type = id.split("/")[0] ?? "";
  return SHORT[type] ?? (type || "source");
}
