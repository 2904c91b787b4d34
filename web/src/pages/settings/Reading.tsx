import { usePreferences } from "../../api/queries";
import { Checkbox } from "../../shell/Field";
import { Section } from "../../shell/Page";
import { toastError } from "../../shell/toast";
import styles from "./Settings.module.css";

export function Reading() {
  const [preferences, change] = usePreferences();
  return (
    <Section title="Reading">
      <div className={styles.choices}>
        <Checkbox
          value={preferences.own_look_first ?? false}
          onChange={(value) => void change({ own_look_first: value }).catch(toastError)}
        >
          Show the draft only after my own look
        </Checkbox>
        <p className={styles.hint}>
          The draft and its findings stay hidden when a study is opened, until you ask for them. A reader who sees the
          draft first tends to agree with it.
        </p>
      </div>
    </Section>
  );
}
