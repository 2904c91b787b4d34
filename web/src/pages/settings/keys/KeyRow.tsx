import { type KeyboardEvent, useRef, useState } from "react";
import { chordOf, RESERVED } from "../../../actions/chord";
import { type Action, chordsOf } from "../../../actions/registry";
import { Button } from "../../../shell/Button";
import { Alert } from "../../../shell/icons";
import { Keys } from "../../../shell/Keys";
import styles from "./KeyRow.module.css";

interface KeyRowProps {
  action: Action;
  own: Record<string, string>;
  /** Titles of actions with the same keys. */
  others: string[];
  /** null: back to the default. */
  onChange: (chord: string | null) => void;
}

export function KeyRow({ action, own, others, onChange }: KeyRowProps) {
  const [taking, setTaking] = useState(false);
  const [said, setSaid] = useState("");
  const change = useRef<HTMLButtonElement>(null);
  const chords = chordsOf(action, own);
  const changed = own[action.id] !== undefined;
  /** The focus goes back to where it came from. */
  const done = () => {
    setTaking(false);
    change.current?.focus();
  };
  const take = (event: KeyboardEvent) => {
    const chord = chordOf(event.nativeEvent);
    if (!chord || chord === "Tab" || chord === "Shift+Tab") return;
    event.preventDefault();
    event.stopPropagation();
    if (RESERVED.has(chord)) {
      setSaid(`The browser keeps ${chord} for itself.`);
      return;
    }
    done();
    setSaid("");
    if (chord !== "Escape") onChange(chord);
  };
  return (
    <tr>
      <td>
        {action.title}
        {others.length > 0 && (
          <p className={styles.conflict}>
            <Alert /> Same keys as: {others.join(", ")}
          </p>
        )}
      </td>
      <td className={styles.keys}>
        {taking ? (
          // The marker tells the listener of the window to let these keys be.
          <input
            className={styles.taking}
            data-aris-modal=""
            aria-label={`New keys for: ${action.title}`}
            // biome-ignore lint/a11y/noAutofocus: the user asked for it
            autoFocus
            readOnly
            value="Press the keys"
            onKeyDown={take}
            onBlur={() => setTaking(false)}
          />
        ) : chords.length > 0 ? (
          chords.map((chord) => <Keys key={chord} chord={chord} />)
        ) : (
          <span className={styles.none}>none</span>
        )}
        {said && (
          <p className={styles.conflict} role="alert">
            {said}
          </p>
        )}
      </td>
      <td className={styles.buttons}>
        <Button
          ref={change}
          size="small"
          aria-label={`Change the keys of: ${action.title}`}
          onPress={() => setTaking(true)}
        >
          Change
        </Button>
        <Button
          size="small"
          kind="ghost"
          isDisabled={chords.length === 0}
          aria-label={`None, no keys for: ${action.title}`}
          onPress={() => onChange("")}
        >
          None
        </Button>
        <Button
          size="small"
          kind="ghost"
          isDisabled={!changed}
          aria-label={`Default keys for: ${action.title}`}
          onPress={() => onChange(null)}
        >
          Default
        </Button>
      </td>
    </tr>
  );
}
