import { createContext } from "react";
import { shown } from "../actions/chord";
import styles from "./Keys.module.css";

/** True where buttons are too small to show their keys. */
export const KeysContext = createContext(false);

/** The keys of a chord, as printed on a keyboard. */
export function Keys({ chord, quiet = false }: { chord: string; quiet?: boolean }) {
  return (
    <span className={quiet ? styles.quiet : styles.keys}>
      {shown(chord).map((key) => (
        <kbd key={key}>{key}</kbd>
      ))}
    </span>
  );
}
