import { Label, ProgressBar } from "react-aria-components";
import type { Outcome } from "./queue";
import styles from "./Uploads.module.css";

const many = (count: number, one: string, more: string) => `${count.toLocaleString("en")} ${count === 1 ? one : more}`;

export function Progress({ outcome }: { outcome: Outcome }) {
  const { total, done, added, known, studies, refused, running, share } = outcome;
  return (
    <div className={styles.progress}>
      <ProgressBar value={share * 100} className={styles.meter ?? ""}>
        {({ percentage }) => (
          <>
            <Label>
              {running
                ? `Sending ${many(total, "file", "files")}: ${done} done`
                : `${many(done, "file", "files")} sent`}
            </Label>
            <div className={styles.track}>
              <div className={styles.fill} style={{ width: `${percentage ?? 0}%` }} />
            </div>
          </>
        )}
      </ProgressBar>
      <p className={styles.sum} role="status">
        {[
          many(added, "image added", "images added"),
          known > 0 && `${many(known, "image", "images")} known already`,
          studies.length > 0 && `in ${many(studies.length, "study", "studies")}`,
          refused.length > 0 && `${refused.length} refused`,
        ]
          .filter(Boolean)
          .join(", ")}
      </p>
      {refused.length > 0 && (
        <section>
          <h3 className={styles.title}>Refused</h3>
          <ul className={styles.refused}>
            {refused.map(({ name, reason }, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: the list only grows at its end
              <li key={index}>
                <strong>{name}</strong>: {reason}
              </li>
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}
