import { useState } from "react";
import { api, at } from "../../api/client";
import { Button } from "../../shell/Button";
import { Select } from "../../shell/Field";
import { saveBlob } from "../../shell/save";
import { toastError } from "../../shell/toast";
import styles from "./Intakes.module.css";

const PARTS = [
  { id: "all", label: "The whole Bundle" },
  { id: "questionnaire", label: "Questionnaire" },
  { id: "response", label: "QuestionnaireResponse" },
  { id: "resources", label: "Provisional resources" },
];

/** The intake as FHIR R4, to look at and to save. */
export function Fhir({ name, text }: { name: string; text: string }) {
  const [part, setPart] = useState("all");
  const [shown, setShown] = useState("");
  const get = () => api.blob(at("intakes", name, "fhir"), { part });
  return (
    <>
      <h2 className={styles.heading}>Documents</h2>
      <Select label="FHIR R4" options={PARTS} value={part} onChange={setPart} />
      <p className={styles.views}>
        <Button
          size="small"
          onPress={() =>
            void get()
              .then((blob) => blob.text())
              .then((json) => setShown(JSON.stringify(JSON.parse(json), null, 1)))
              .catch(toastError)
          }
        >
          View
        </Button>
        <Button
          size="small"
          onPress={() => void get().then((blob) => saveBlob(blob, `intake-${part}.json`), toastError)}
        >
          Save
        </Button>
        <Button size="small" onPress={() => saveBlob(new Blob([text], { type: "text/plain" }), "intake.txt")}>
          Save as text
        </Button>
      </p>
      {shown && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls is reached by keyboard
        <section aria-label="FHIR" tabIndex={0} className={styles.json}>
          <pre>{shown}</pre>
        </section>
      )}
    </>
  );
}
