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

interface Told {
  outside?: { title: string; maker: string; lines: [string, string][] } | null;
}

function outsideText(draft: DraftVersion & Told): string {
  const { outside } = draft;
  if (!outside) return asText(draft.sections) || "No text.";
  const lines = outside.lines.map(([name, text]) => (name ? `${name}: ${text}` : text));
  return [outside.title, outside.maker, ...lines].filter(Boolean).join("\n");
}
