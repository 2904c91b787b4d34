import { Label, Radio, RadioGroup } from "react-aria-components";
import { usePreferences } from "../../api/queries";
import { Section } from "../../shell/Page";
import { shownTheme, showTheme, type ThemeChoice } from "../../shell/theme";
import { toastError } from "../../shell/toast";
import styles from "./Appearance.module.css";

export function Appearance() {
  const [preferences, change] = usePreferences();
  const now = preferences.theme ?? shownTheme();
  const choose = (theme: string) => {
    showTheme(theme as ThemeChoice);
    change({ theme: theme as ThemeChoice }).catch(toastError);
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
        <Radio value="system" className={styles.radio ?? ""}>
          <span className={styles.mark} aria-hidden="true" /> As this computer has it
        </Radio>
      </RadioGroup>
    </Section>
  );
}
