import { diff } from "../text/diff";
import styles from "./Diff.module.css";

/** A text with what was taken out and put in, said also without colours. */
export function DiffText({ before, after }: { before: string; after: string }) {
  const changes = diff(before, after);
  if (changes.length === 0) return <p className={styles.empty}>No text.</p>;
  let at = 0;
  return (
    <p className={styles.text}>
      {changes.map((each) => {
        const key = `${each.kind} ${at}`;
        at += each.text.length;
        if (each.kind === "old") return <del key={key}>{each.text}</del>;
        if (each.kind === "new") return <ins key={key}>{each.text}</ins>;
        return <span key={key}>{each.text}</span>;
      })}
    </p>
  );
}
