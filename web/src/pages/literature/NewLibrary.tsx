import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../../api/client";
import { Button } from "../../shell/Button";
import { Dialog } from "../../shell/Dialog";
import { Field } from "../../shell/Field";
import { ErrorLine } from "../../shell/states";

export function NewLibrary({ onMade }: { onMade: (name: string) => void }) {
  const queries = useQueryClient();
  const [open, setOpen] = useState(false);
  const [name, setName] = useState("");
  const [error, setError] = useState<unknown>(null);
  const make = async () => {
    setError(null);
    try {
      await api.post("/api/literature/libraries", { name: name.trim() });
      await queries.invalidateQueries({ queryKey: ["/api/literature/libraries"] });
      onMade(name.trim());
      setOpen(false);
      setName("");
    } catch (failed) {
      setError(failed);
    }
  };
  return (
    <>
      <Button onPress={() => setOpen(true)}>New library</Button>
      <Dialog
        title="New library"
        isOpen={open}
        onClose={() => setOpen(false)}
        size="small"
        actions={
          <>
            <Button onPress={() => setOpen(false)}>Cancel</Button>
            <Button kind="primary" isDisabled={!name.trim()} onPress={() => void make()}>
              Make it
            </Button>
          </>
        }
      >
        <Field
          label="Name"
          hint="Letters, digits, spaces and . _ -"
          value={name}
          onChange={setName}
          maxLength={64}
          autoFocus
        />
        <ErrorLine error={error} />
      </Dialog>
    </>
  );
}
