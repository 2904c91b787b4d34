import type { DraftVersion, Study } from "../../api/types";
import { asText } from "../text/sections";
import styles from "./Panel.module.css";

/** Reports of others that came with the images: to read, never taken over by themselves. */
export function Outside({ study }: { study: Study }) {
  const others = study.drafts.filter((each) => each.origin === "outside");
  if (others.length === 0) return null;
  return (
    <details className={styles.outside}>
      <summary>
        {others.length === 1 ? "1 report from outside" : `${others.length} reports from outside`} (read-only)
      </summary>
      {others.map((each) => (
        <pre key={each.number} className={styles.pre}>
          {outsideText(each)}
        </pre>
      ))}
    </details>
  );
}

function outsideText(draft: DraftVersion): string {
  const { outside } = draft;
  if (!outside) return asText(draft.sections) || "No text.";
  const lines = outside.lines.map(([name, text]) => (name ? `${name}: ${text}` : text));
  const marks = [outside.verified ? "verified" : "not verified", outside.complete ? "" : "not complete"];
  return [outside.title, [outside.maker, ...marks].filter(Boolean).join(", "), ...lines].filter(Boolean).join("\n");
}
