import { useState } from "react";
import { at } from "../../api/client";
import { useGet, usePreferences } from "../../api/queries";
import type { Macro } from "../../api/types";
import { Button } from "../../shell/Button";
import { Field } from "../../shell/Field";
import { Section, Table } from "../../shell/Page";
import { toast, toastError } from "../../shell/toast";
import styles from "./Settings.module.css";

/** Pieces of text that are put into a report by their name. */
export function Macros() {
  const [preferences, change] = usePreferences();
  const { data: site } = useGet<Macro[]>(at("macros"));
  const own = preferences.macros ?? [];
  const [name, setName] = useState("");
  const [text, setText] = useState("");
  const save = () => {
    change({ macros: [...own.filter((one) => one.name !== name.trim()), { name: name.trim(), text }] })
      .then(() => {
        setName("");
        setText("");
        toast("The macro is saved.", { tone: "good" });
      })
      .catch(toastError);
  };
  return (
    <div className={styles.bottom}>
      <Section
        title="My macros"
        lead="Write the name with a dot before it in a report, as .normal, or choose it from the palette."
      >
        {own.length > 0 && (
          <Table label="My macros" head={["Name", "Text", ""]}>
            {own.map((macro) => (
              <tr key={macro.name}>
                <td>{macro.name}</td>
                <td>{macro.text}</td>
                <td className={styles.end}>
                  <Button
                    size="small"
                    kind="ghost"
                    aria-label={`Edit ${macro.name}`}
                    onPress={() => {
                      setName(macro.name);
                      setText(macro.text);
                    }}
                  >
                    Edit
                  </Button>
                  <Button
                    size="small"
                    kind="ghost"
                    aria-label={`Remove ${macro.name}`}
                    onPress={() => void change({ macros: own.filter((one) => one !== macro) }).catch(toastError)}
                  >
                    Remove
                  </Button>
                </td>
              </tr>
            ))}
          </Table>
        )}
      </Section>
      <Section title="Add or change a macro">
        <form
          className={`${styles.form} ${styles.wide}`}
          onSubmit={(event) => {
            event.preventDefault();
            if (name.trim() && text.trim()) save();
          }}
        >
          <Field label="Name" value={name} onChange={setName} maxLength={40} />
          <Field label="Text" value={text} onChange={setText} lines={5} maxLength={4000} />
          <Button type="submit" kind="primary" isDisabled={!name.trim() || !text.trim()}>
            Save the macro
          </Button>
        </form>
      </Section>
      {site && site.length > 0 && (
        <Section title="Macros of the site">
          <Table label="Macros of the site" head={["Name", "Text"]}>
            {site.map((macro) => (
              <tr key={macro.name}>
                <td>{macro.name}</td>
                <td>{macro.text}</td>
              </tr>
            ))}
          </Table>
        </Section>
      )}
    </div>
  );
}
