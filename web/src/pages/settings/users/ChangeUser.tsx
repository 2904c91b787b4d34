import { type FormEvent, useState } from "react";
import { api, at } from "../../../api/client";
import type { Role, User, UserChange } from "../../../api/types";
import { Button } from "../../../shell/Button";
import { Dialog } from "../../../shell/Dialog";
import { Checkbox, Select } from "../../../shell/Field";
import { ErrorLine } from "../../../shell/states";
import { toast } from "../../../shell/toast";
import { NewPassword } from "../../signin/NewPassword";
import { acceptable } from "../../signin/password";
import styles from "../Settings.module.css";
import { ROLES } from "./roles";

export function ChangeUser({ user, onClose, onDone }: { user: User; onClose: () => void; onDone: () => void }) {
  const [role, setRole] = useState<Role>(user.role);
  const [active, setActive] = useState(user.active);
  const [renew, setRenew] = useState(false);
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  const [error, setError] = useState<unknown>(null);
  const change: UserChange = {
    ...(role === user.role ? {} : { role }),
    ...(active === user.active ? {} : { active }),
    ...(renew ? { password } : {}),
  };
  const ready = Object.keys(change).length > 0 && (!renew || (acceptable(password, user.login) && password === again));
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (!ready) return;
    setError(null);
    try {
      await api.patch(at("users", user.login), change);
      toast(`The user ${user.login} is changed and signed out.`, { tone: "good" });
      onDone();
    } catch (failed) {
      setError(failed);
    }
  };
  return (
    <Dialog title={`Change ${user.login}`} size="small" isOpen onClose={onClose} dismissable={false}>
      <form className={styles.form} onSubmit={(event) => void submit(event)}>
        <Select label="Role" options={ROLES} value={role} onChange={setRole} />
        <Checkbox value={active} onChange={setActive}>
          Active: may sign in
        </Checkbox>
        <Checkbox value={renew} onChange={setRenew}>
          Set a new password
        </Checkbox>
        {renew && (
          <NewPassword
            label="New password"
            login={user.login}
            value={password}
            again={again}
            onChange={setPassword}
            onAgain={setAgain}
          />
        )}
        <p className={styles.hint}>Any change signs the user out everywhere.</p>
        <ErrorLine error={error} />
        <Button type="submit" kind="primary" isDisabled={!ready}>
          Change the user
        </Button>
      </form>
    </Dialog>
  );
}
