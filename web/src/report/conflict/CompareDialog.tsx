import { useMemo, useState } from "react";
import { Radio, RadioGroup } from "react-aria-components";
import type { SectionName, Sections } from "../../api/types";
import { Button } from "../../shell/Button";
import { Dialog } from "../../shell/Dialog";
import { Check } from "../../shell/icons";
import { type Choice, type Contested, contested, resolved } from "../text/merge";
import { TITLES } from "../text/sections";
import styles from "./Diff.module.css";
import { DiffText } from "./DiffText";

export interface CompareProps {
  title: string;
  /** Whose the other text is: "Müller, Ana" or "The draft". */
  whose: string;
  hint: string;
  origin: Sections;
  mine: Sections;
  theirs: Sections;
  onDone(text: Sections): void;
  onClose(): void;
}

/** Put two texts together section by section: mine, the other one, or both where they changed different words. */
export function CompareDialog({ title, whose, hint, origin, mine, theirs, onDone, onClose }: CompareProps) {
  const contest = useMemo(() => contested(origin, mine, theirs), [origin, mine, theirs]);
  const [choices, setChoices] = useState<Partial<Record<SectionName, Choice>>>({});
  const all = (choice: Choice) => setChoices(Object.fromEntries(contest.map((each) => [each.section, choice])));
  return (
    <Dialog
      title={title}
      isOpen
      onClose={onClose}
      size="large"
      actions={
        <>
          <Button kind="ghost" onPress={() => all("theirs")}>
            All of {whose}
          </Button>
          <Button kind="ghost" onPress={() => all("mine")}>
            All of mine
          </Button>
          <Button onPress={onClose}>Later</Button>
          <Button kind="primary" onPress={() => onDone(resolved(mine, contest, choices))}>
            Use what is chosen
          </Button>
        </>
      }
    >
      <p className={styles.hint}>{hint}</p>
      {contest.length === 0 && <p className={styles.hint}>The two texts say the same.</p>}
      {contest.map((each) => (
        <SectionChoice
          key={each.section}
          contest={each}
          whose={whose}
          value={choices[each.section] ?? each.suggested}
          onChange={(choice) => setChoices((before) => ({ ...before, [each.section]: choice }))}
        />
      ))}
    </Dialog>
  );
}

function SectionChoice(props: { contest: Contested; whose: string; value: Choice; onChange(choice: Choice): void }) {
  const { contest, whose, value, onChange } = props;
  const { section, base, mine, theirs, merged } = contest;
  const isNew = merged.clean && merged.text !== mine && merged.text !== theirs;
  return (
    <section className={styles.section}>
      <h3 className={styles.name}>{TITLES[section]}</h3>
      <RadioGroup
        aria-label={`${TITLES[section]}: which text`}
        value={value}
        onChange={(choice) => onChange(choice as Choice)}
        className={styles.sides}
      >
        <Side choice="mine" label="Mine" before={base} after={mine} />
        <Side choice="theirs" label={whose} before={base} after={theirs} />
        {isNew && <Side choice="merged" label="Both together" before={base} after={merged.text} />}
      </RadioGroup>
      {!merged.clean && <span className={styles.unclean}>Both changed the same words: choose one.</span>}
    </section>
  );
}

function Side({ choice, label, before, after }: { choice: Choice; label: string; before: string; after: string }) {
  return (
    <Radio value={choice} className={styles.side ?? ""}>
      {({ isSelected }) => (
        <>
          <span className={styles.whose}>
            {isSelected && <Check />}
            {label}
          </span>
          <DiffText before={before} after={after} />
        </>
      )}
    </Radio>
  );
}
