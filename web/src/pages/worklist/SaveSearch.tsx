import { type FormEvent, useState } from "react";
import { usePreferences } from "../../api/queries";
import { Button } from "../../shell/Button";
import { Dialog } from "../../shell/Dialog";
import { Field } from "../../shell/Field";
import { toast, toastError } from "../../shell/toast";

export function SaveSearch({ isOpen, onClose, search }: { isOpen: boolean; onClose: () => void; search: string }) {
  const [preferences, change] = usePreferences();
  const [name, setName] = useState("");
  const close = () => {
    setName("");
    onClose();
  };
  const save = (event: FormEvent) => {
    event.preventDefault();
    const others = (preferences.filters ?? []).filter((one) => one.name !== name.trim());
    change({ filters: [...others, { name: name.trim(), search }] })
      .then(() => toast("The search is saved.", { tone: "good" }))
      .catch(toastError);
    close();
  };
  return (
    <Dialog title="Save this search" size="small" isOpen={isOpen} onClose={close}>
      <form onSubmit={save}>
        <Field
          label="Name"
          value={name}
          onChange={setName}
          autoFocus
          maxLength={60}
          hint="Filters, search text and order are kept in your account. Do not save a patient's name."
        />
        <p>
          <Button type="submit" kind="primary" isDisabled={!name.trim()}>
            Save
          </Button>
        </p>
      </form>
    </Dialog>
  );
}
