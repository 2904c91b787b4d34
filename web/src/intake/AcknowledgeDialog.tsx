import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, at } from "../api/client";
import type { AcknowledgeIntake, IntakeLine } from "../api/types";
import { Button } from "../shell/Button";
import { Dialog } from "../shell/Dialog";
import { Field, Select } from "../shell/Field";
import { personName } from "../shell/format";
import { ErrorLine } from "../shell/states";
import { toast } from "../shell/toast";

const HOW: { id: AcknowledgeIntake["how"]; label: string }[] = [
  { id: "patient called", label: "The patient was called" },
  { id: "ambulance called", label: "The ambulance was called" },
  { id: "patient is here", label: "The patient is here" },
  { id: "handed over", label: "Handed over to a colleague" },
  { id: "other", label: "Something else (say it in the note)" },
];

/** A person takes an emergency on, and says what was done. */
export function AcknowledgeDialog({ intake, onClose }: { intake: IntakeLine; onClose: () => void }) {
  const queries = useQueryClient();
  const [how, setHow] = useState<AcknowledgeIntake["how"]>("patient called");
  const [note, setNote] = useState("");
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const acknowledge = async () => {
    setBusy(true);
    setError(null);
    try {
      await api.post(at("intakes", intake.name, "acknowledge"), { how, note });
      await queries.invalidateQueries({ predicate: ({ queryKey }) => String(queryKey[0]).startsWith("/api/intakes") });
      toast("The emergency is acknowledged.", { tone: "good" });
      onClose();
    } catch (failed) {
      setError(failed);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog
      title="Acknowledge the emergency"
      isOpen
      onClose={onClose}
      size="small"
      actions={
        <>
          <Button onPress={onClose}>Cancel</Button>
          <Button kind="primary" onPress={() => void acknowledge()} isDisabled={busy}>
            Acknowledge
          </Button>
        </>
      }
    >
      <p>
        <strong>{personName(intake.patient.name) || intake.patient.identifier}</strong>: {intake.reason || "emergency"}
      </p>
      <p>The patient was told to call the emergency number. Your name and what you did are kept in the audit trail.</p>
      <Select label="What was done" options={HOW} value={how} onChange={setHow} />
      <Field label="Note" value={note} onChange={setNote} lines={3} maxLength={2000} />
      <ErrorLine error={error} />
    </Dialog>
  );
}
