import { useState } from "react";
import { api, at } from "../../api/client";
import type { Signed, Study } from "../../api/types";
import { Dialog } from "../../shell/Dialog";
import { Field } from "../../shell/Field";
import { ErrorLine } from "../../shell/states";
import { Identity } from "./Identity";
import styles from "./Signing.module.css";

/** Add a text to a signed report, and sign it. */
export function AddendumDialog(props: { study: Study; onSigned(signed: Signed): void; onClose(): void }) {
  const { study, onSigned, onClose } = props;
  const [text, setText] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const add = async (password: string) => {
    setBusy(true);
    setError(null);
    try {
      onSigned(await api.post<Signed>(at("studies", study.study, "addendum"), { password, text }));
    } catch (thrown) {
      setError(thrown);
      setBusy(false);
    }
  };
  return (
    <Dialog title="Addendum" isOpen onClose={onClose} dismissable={false}>
      <div className={styles.addendum}>
        <p className={styles.quiet}>
          The signed report stays as it is. The addendum is signed and sent as its next version.
        </p>
        <Field label="Text of the addendum" lines={7} value={text} onChange={setText} autoFocus isDisabled={busy} />
        <Identity
          action="Sign the addendum"
          busy={busy}
          blocked={text.trim() === "" ? "Write the addendum first." : ""}
          onProved={({ password }) => void add(password)}
          onCancel={onClose}
        >
          <ErrorLine error={error} />
        </Identity>
      </div>
    </Dialog>
  );
}
