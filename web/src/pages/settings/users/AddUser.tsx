import { type FormEvent, useState } from "react";
import { api } from "../../../api/client";
import { useSession } from "../../../api/queries";
import type { NewUser, Role } from "../../../api/types";
import { Button } from "../../../shell/Button";
import { Dialog } from "../../../shell/Dialog";
import { Field, Select } from "../../../shell/Field";
import { ErrorLine } from "../../../shell/states";
import { toast } from "../../../shell/toast";
import { NewPassword } from "../../signin/NewPassword";
import { acceptable } from "../../signin/password";
import styles from "../Settings.module.css";
import { ROLES } from "./roles";

export function AddUser({ onClose, onDone }: { onClose: () => void; onDone: () => void }) {
  const own = useSession().data?.user?.organization ?? "";
  const [login, setLogin] = useState("");
  const [family, setFamily] = useState("");
  const [given, setGiven] = useState("");
  const [organization, setOrganization] = useState(own);
  const [identifier, setIdentifier] = useState("");
  const [role, setRole] = useState<Role>("reader");
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  const [error, setError] = useState<unknown>(null);
  // A reader's organization stands on what he signs.
  const placed = !role.includes("reader") || organization.trim() !== "";
  const ready =
    placed && login.trim() !== "" && family.trim() !== "" && acceptable(password, login) && password === again;
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (!ready) return;
    setError(null);
    const body: NewUser = {
      login: login.trim(),
      password,
      name: [family, given]
        .map((part) => part.trim().replaceAll("^", " "))
        .join("^")
        .replace(/\^$/, ""),
      role,
      organization: organization.trim(),
      identifier: identifier.trim(),
    };
    try {
      await api.post("/api/users", body);
      toast(`The user ${body.login} is added.`, { tone: "good" });
      onDone();
    } catch (failed) {
      setError(failed);
    }
  };
  return (
    <Dialog title="Add a user" isOpen onClose={onClose} dismissable={false}>
      <form className={`${styles.form} ${styles.wide}`} onSubmit={(event) => void submit(event)}>
        <div className={styles.pair}>
          <Field label="Family name" value={family} onChange={setFamily} isRequired autoFocus />
          <Field label="Given name" value={given} onChange={setGiven} />
        </div>
        <div className={styles.pair}>
          <Field label="User name" value={login} onChange={setLogin} isRequired maxLength={64} autoComplete="off" />
          <Select label="Role" options={ROLES} value={role} onChange={setRole} />
        </div>
        <div className={styles.pair}>
          <Field
            label="Organization"
            value={organization}
            onChange={setOrganization}
            isRequired={role.includes("reader")}
          />
          <Field
            label="Identifier"
            value={identifier}
            onChange={setIdentifier}
            hint="As a licence number; stands on reports."
          />
        </div>
        <NewPassword
          label="First password"
          login={login}
          value={password}
          again={again}
          onChange={setPassword}
          onAgain={setAgain}
        />
        <ErrorLine error={error} />
        <Button type="submit" kind="primary" isDisabled={!ready}>
          Add the user
        </Button>
      </form>
    </Dialog>
  );
}
