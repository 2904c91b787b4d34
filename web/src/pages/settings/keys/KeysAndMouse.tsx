import { useState } from "react";
import {
  BUTTON_TITLES,
  BUTTONS,
  DEFAULT_MOUSE,
  mouseTools,
  TOOL_TITLES,
  TOOLS,
  WHEEL_TOOLS,
} from "../../../actions/mouse";
import { CATALOGUE, conflicts } from "../../../actions/registry";
import { usePreferences } from "../../../api/queries";
import { Button } from "../../../shell/Button";
import { Field, Select } from "../../../shell/Field";
import { byContext, CONTEXT_TITLES } from "../../../shell/Help";
import { Section, Table } from "../../../shell/Page";
import { toastError } from "../../../shell/toast";
import styles from "../Settings.module.css";
import { KeyRow } from "./KeyRow";

/** Keys and mouse buttons are data: each user's own. */
export function KeysAndMouse() {
  const [preferences, change] = usePreferences();
  const [text, setText] = useState("");
  const own = preferences.keys ?? {};
  const clash = conflicts(own);
  const mouse = mouseTools(preferences.mouse);
  const set = (id: string, chord: string | null) => {
    const { [id]: _before, ...rest } = own;
    change({ keys: chord === null ? rest : { ...rest, [id]: chord } }).catch(toastError);
  };
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return (
    <div className={styles.bottom}>
      <Section title="Mouse over an image">
        <div className={styles.form}>
          {BUTTONS.map((button) => (
            <Select
              key={button}
              label={BUTTON_TITLES[button]}
              value={mouse[button]}
              onChange={(tool) => void change({ mouse: { ...preferences.mouse, [button]: tool } }).catch(toastError)}
              options={(button === "wheel" ? WHEEL_TOOLS : TOOLS).map((id) => ({ id, label: TOOL_TITLES[id] }))}
            />
          ))}
          <Button
            size="small"
            isDisabled={BUTTONS.every((button) => mouse[button] === DEFAULT_MOUSE[button])}
            onPress={() => void change({ mouse: {} }).catch(toastError)}
          >
            Back to the defaults
          </Button>
        </div>
      </Section>
      <Section
        title="Keys"
        lead={
          clash.size > 0
            ? "Some keys have two meanings at the same place; they are marked below."
            : "Press Change, then the keys. Every action is in the palette too, without a key."
        }
      >
        <div className={styles.row}>
          <Field label="Find an action" hideLabel placeholder="Find an action" value={text} onChange={setText} />
          <Button
            isDisabled={Object.keys(own).length === 0}
            onPress={() => void change({ keys: {} }).catch(toastError)}
          >
            All back to the defaults
          </Button>
        </div>
      </Section>
      {byContext().map(([context, actions]) => {
        const shown = actions.filter((action) =>
          words.every((word) => `${action.title} ${action.words ?? ""}`.toLowerCase().includes(word)),
        );
        if (shown.length === 0) return null;
        return (
          <Section key={context} title={CONTEXT_TITLES[context]}>
            <Table label={`Keys: ${CONTEXT_TITLES[context]}`} head={["Action", "Keys", ""]}>
              {shown.map((action) => (
                <KeyRow
                  key={action.id}
                  action={action}
                  own={own}
                  others={(clash.get(action.id) ?? []).map((id) => CATALOGUE.get(id)?.title ?? id)}
                  onChange={(chord) => set(action.id, chord)}
                />
              ))}
            </Table>
          </Section>
        );
      })}
    </div>
  );
}
