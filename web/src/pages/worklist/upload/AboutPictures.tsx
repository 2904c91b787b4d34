import { type FormEvent, useState } from "react";
import type { Query } from "../../../api/client";
import { Button } from "../../../shell/Button";
import { Dialog } from "../../../shell/Dialog";
import { Field, Select } from "../../../shell/Field";
import styles from "./Uploads.module.css";

const SEXES = [
  { id: "unknown", label: "Not said" },
  { id: "F", label: "Female" },
  { id: "M", label: "Male" },
  { id: "O", label: "Other" },
] as const;
const VIEWS = [
  { id: "unknown", label: "Not said" },
  { id: "PA", label: "PA" },
  { id: "AP", label: "AP" },
  { id: "LL", label: "Lateral" },
] as const;
const MODALITIES = [
  { id: "DX", label: "X-ray (DX)" },
  { id: "CR", label: "X-ray (CR)" },
  { id: "XC", label: "Photograph (XC)" },
  { id: "OP", label: "Eye photograph (OP)" },
] as const;
/** Return a name as it is typed ("Doe, Jane") as a DICOM person name. */
export function dicomName(typed: string): string {
  const parts = typed.includes("^") ? [typed] : typed.split(",");
  return parts
    .map((part) => part.trim())
    .filter(Boolean)
    .join("^");
}

const said = (value: string) => (value === "unknown" ? "" : value);

interface AboutPicturesProps {
  pictures: number;
  others: number;
  onClose: () => void;
  onSend: (about: Query) => void;
}

/** Asks whose pictures these are: a JPEG or PNG says nothing of its patient. */
export function AboutPictures({ pictures, others, onClose, onSend }: AboutPicturesProps) {
  const [name, setName] = useState("");
  const [id, setId] = useState("");
  const [years, setYears] = useState("");
  const [sex, setSex] = useState<(typeof SEXES)[number]["id"]>("unknown");
  const [view, setView] = useState<(typeof VIEWS)[number]["id"]>("unknown");
  const [modality, setModality] = useState<(typeof MODALITIES)[number]["id"]>("DX");
  const wrongAge = years !== "" && !/^\d{1,3}$/.test(years);
  const send = (event: FormEvent) => {
    event.preventDefault();
    if (wrongAge) return;
    onSend({
      patient_name: dicomName(name),
      patient_id: id.trim(),
      age: years,
      sex: said(sex),
      view: said(view),
      modality,
    });
  };
  return (
    <Dialog
      title={pictures === 1 ? "Whose picture is this?" : `Whose ${pictures} pictures are these?`}
      isOpen
      onClose={onClose}
    >
      <form onSubmit={send} className={styles.form}>
        <p className={styles.wide}>
          A picture says nothing of its patient. {pictures > 1 && "All pictures go to one study of one patient. "}
          {others === 1 && "The other file says it itself."}
          {others > 1 && `The other ${others} files say it themselves.`}
        </p>
        <Field label="Name" value={name} onChange={setName} placeholder="Family, Given" autoFocus maxLength={128} />
        <Field label="Patient ID" value={id} onChange={setId} maxLength={64} />
        <Field
          label="Age in years"
          value={years}
          onChange={setYears}
          inputMode="numeric"
          error={wrongAge ? "Write whole years, as 54." : ""}
        />
        <Select label="Sex" options={SEXES} value={sex} onChange={setSex} />
        <Select label="View" options={VIEWS} value={view} onChange={setView} />
        <Select label="Kind" options={MODALITIES} value={modality} onChange={setModality} />
        <div className={styles.end}>
          <Button onPress={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" isDisabled={wrongAge}>
            Upload
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
