import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, at } from "../api/client";
import type { IntakeLine, IntakeLink, NewIntake } from "../api/types";
import { Button } from "../shell/Button";
import { Dialog } from "../shell/Dialog";
import { Field, Select } from "../shell/Field";
import { moment } from "../shell/format";
import { ErrorLine } from "../shell/states";
import { toast } from "../shell/toast";
import styles from "./LinkDialog.module.css";
import { Qr } from "./Qr";

const HOURS = [
  { id: "1", label: "1 hour" },
  { id: "24", label: "1 day" },
  { id: "72", label: "3 days" },
  { id: "168", label: "1 week" },
];
const SEXES = [
  { id: "-", label: "Not said" },
  { id: "F", label: "Female" },
  { id: "M", label: "Male" },
  { id: "O", label: "Other" },
];

/** Makes a one-time link: for a patient, or (`again`) a new one for an intake that runs. */
export function LinkDialog({
  patient = {},
  again,
  onClose,
}: {
  patient?: Partial<NewIntake>;
  again?: IntakeLine;
  onClose: () => void;
}) {
  const queries = useQueryClient();
  const [said, setSaid] = useState({ identifier: "", issuer: "", name: "", birth_date: "", note: "", ...patient });
  const [sex, setSex] = useState<string>(patient.sex || "-");
  const [hours, setHours] = useState("24");
  const [link, setLink] = useState<IntakeLink | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const set = (name: keyof typeof said) => (value: string) => setSaid((old) => ({ ...old, [name]: value }));
  const make = async () => {
    setBusy(true);
    setError(null);
    try {
      const lasts = Number(hours);
      const body = {
        ...said,
        birth_date: said.birth_date.replace(/\D/g, ""),
        sex: sex === "-" ? "" : sex,
        hours: lasts,
      };
      setLink(
        again
          ? await api.post<IntakeLink>(at("intakes", again.name, "link"), { hours: lasts })
          : await api.post<IntakeLink>("/api/intakes", body),
      );
      await queries.invalidateQueries({ queryKey: ["/api/intakes"] });
    } catch (failed) {
      setError(failed);
    } finally {
      setBusy(false);
    }
  };
  if (link) return <Made link={link} onClose={onClose} />;
  return (
    <Dialog
      title={again ? "New link for this intake" : "New intake link"}
      isOpen
      onClose={onClose}
      actions={
        <>
          <Button onPress={onClose}>Cancel</Button>
          <Button kind="primary" onPress={() => void make()} isDisabled={busy}>
            Make the link
          </Button>
        </>
      }
    >
      {again ? (
        <p>
          The questions go on where they are. The link before this one, and the phone that used it, open nothing then.
        </p>
      ) : (
        <div className={styles.form}>
          <Field label="Patient ID" value={said.identifier} onChange={set("identifier")} maxLength={256} autoFocus />
          <Field label="Issuer of the ID" value={said.issuer} onChange={set("issuer")} maxLength={256} />
          <Field
            label="Name"
            hint="Family^Given, as on studies"
            value={said.name}
            onChange={set("name")}
            maxLength={512}
          />
          <Field
            label="Birth date"
            hint="As 1961-02-27"
            value={said.birth_date}
            onChange={set("birth_date")}
            maxLength={10}
          />
          <Select label="Sex" options={SEXES} value={sex} onChange={setSex} />
          <Field
            label="Note"
            hint="Language, help that is needed. The questions are in English only."
            value={said.note}
            onChange={set("note")}
            maxLength={500}
          />
        </div>
      )}
      <Select label="The link ends after" options={HOURS} value={hours} onChange={setHours} />
      <ErrorLine error={error} />
    </Dialog>
  );
}

function Made({ link, onClose }: { link: IntakeLink; onClose: () => void }) {
  const url = link.url || `${window.location.origin}${link.path}`;
  const here = /^https?:\/\/(localhost|127\.|\[::1\])/.test(url);
  const copy = () =>
    navigator.clipboard.writeText(url).then(
      () => toast("The link is copied.", { tone: "good" }),
      () => toast("It could not be copied; mark it and copy it.", { tone: "error" }),
    );
  return (
    <Dialog
      title="One-time link"
      isOpen
      onClose={onClose}
      dismissable={false}
      actions={
        <>
          <Button onPress={() => void copy()}>Copy the link</Button>
          <Button kind="primary" onPress={onClose}>
            Done
          </Button>
        </>
      }
    >
      <div className={styles.made}>
        <Qr text={url} label="QR code of the link" />
        <div>
          <p>
            Let the patient's phone read the code, or send the link. It works once, until {moment(link.line.expires_at)}
            .
          </p>
          <Field label="Link" value={url} isReadOnly />
          <p className={styles.quiet}>It is shown here only; a new one can be made at any time.</p>
          {here && (
            <p className={styles.warn}>
              This address can be opened on this computer only. For phones start the server with an address that they
              reach, and name it as public_url.
            </p>
          )}
        </div>
      </div>
    </Dialog>
  );
}
