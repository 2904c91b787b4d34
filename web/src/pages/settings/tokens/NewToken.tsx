import { type FormEvent, useState } from "react";
import { api } from "../../../api/client";
import { useSession } from "../../../api/queries";
import type { ApiToken, Scope } from "../../../api/types";
import { Button } from "../../../shell/Button";
import { Dialog } from "../../../shell/Dialog";
import { Checkbox, Field } from "../../../shell/Field";
import { ErrorLine } from "../../../shell/states";
import styles from "../Settings.module.css";

const SCOPES: [Scope, string][] = [
  ["read", "Read studies, images and reports"],
  ["write", "Write texts, verdicts and measurements, upload"],
  ["model", "Ask the model (the OpenAI API at /v1)"],
  ["dicomweb", "DICOMweb"],
  ["audit", "Read the audit trail"],
];

export function NewToken({
  isOpen,
  onClose,
  onMade,
}: {
  isOpen: boolean;
  onClose: () => void;
  onMade: (token: ApiToken) => void;
}) {
  const admin = useSession().data?.user?.role.includes("admin") ?? false;
  const [name, setName] = useState("");
  const [days, setDays] = useState("90");
  const [scopes, setScopes] = useState<Scope[]>(["read"]);
  const [error, setError] = useState<unknown>(null);
  const wrongDays = days !== "" && !(/^\d{1,4}$/.test(days) && Number(days) >= 1 && Number(days) <= 3660);
  const ready = name.trim() !== "" && scopes.length > 0 && !wrongDays;
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (!ready) return;
    setError(null);
    try {
      const body = { name: name.trim(), scopes, days: days === "" ? null : Number(days) };
      onMade(await api.post<ApiToken>("/api/tokens", body));
      setName("");
    } catch (failed) {
      setError(failed);
    }
  };
  return (
    <Dialog title="Make a token" size="small" isOpen={isOpen} onClose={onClose}>
      <form className={styles.form} onSubmit={(event) => void submit(event)}>
        <Field label="Name" value={name} onChange={setName} hint="Which program uses it." maxLength={64} autoFocus />
        {/* biome-ignore lint/a11y/useSemanticElements: a fieldset cannot be laid out as the rest is */}
        <div className={styles.choices} role="group" aria-label="Scopes">
          {SCOPES.filter(([scope]) => admin || scope !== "audit").map(([scope, text]) => (
            <Checkbox
              key={scope}
              value={scopes.includes(scope)}
              onChange={(on) => setScopes(on ? [...scopes, scope] : scopes.filter((one) => one !== scope))}
            >
              {text}
            </Checkbox>
          ))}
        </div>
        <Field
          label="Days until it ends"
          value={days}
          onChange={setDays}
          inputMode="numeric"
          hint="Empty: until it is revoked."
          error={wrongDays ? "Write a number from 1 to 3660." : ""}
        />
        <ErrorLine error={error} />
        <Button type="submit" kind="primary" isDisabled={!ready}>
          Make the token
        </Button>
      </form>
    </Dialog>
  );
}
