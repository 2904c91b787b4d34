import { Label, Radio, RadioGroup } from "react-aria-components";
import { usePreferences } from "../../api/queries";
import { Section } from "../../shell/Page";
import { showTheme, type Theme } from "../../shell/theme";
import { toastError } from "../../shell/toast";
import styles from "./Appearance.module.css";

export function Appearance() {
  const [preferences, change] = usePreferences();
  const now = preferences.theme ?? (document.documentElement.dataset.theme === "light" ? "light" : "dark");
  const choose = (theme: string) => {
    showTheme(theme as Theme);
    change({ theme: theme as Theme }).catch(toastError);
  };
  return (
    <Section title="Appearance" lead="Dark suits a room where images are read. Images are on black in both.">
      <RadioGroup value={now} onChange={choose} className={styles.group ?? ""}>
        <Label className={styles.label ?? ""}>Theme</Label>
        <Radio value="dark" className={styles.radio ?? ""}>
          <span className={styles.mark} aria-hidden="true" /> Dark
        </Radio>
        <Radio value="light" className={styles.radio ?? ""}>
          <span className={styles.mark} aria-hidden="true" /> Light
        </Radio>
      </RadioGroup>
    </Section>
  );
}
