import type { ReactNode } from "react";
import { Caution } from "../../shell/Banner";
import styles from "./SignIn.module.css";

/** The page before anybody has signed in. */
export function Front({ version, caution, children }: { version: string; caution: string; children: ReactNode }) {
  return (
    <div className={styles.front}>
      <Caution text={caution} />
      <main className={styles.middle}>
        <div className={styles.brand}>
          <span className={styles.name}>Aris</span>
          <span className={styles.claim}>The reading room</span>
        </div>
        <div className={styles.card}>{children}</div>
        <p className={styles.version}>Version {version}</p>
      </main>
    </div>
  );
}
