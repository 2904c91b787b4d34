import styles from "./Banner.module.css";
import { Alert } from "./icons";

/** The line that a model is not for patient care: `session.model.caution`, or that of the draft shown. "" shows nothing. */
export function Caution({ text }: { text: string }) {
  if (!text) return null;
  return (
    <div className={styles.banner} role="note">
      <Alert />
      <span>{text}</span>
    </div>
  );
}
