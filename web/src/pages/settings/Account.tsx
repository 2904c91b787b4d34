import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { ApiError, api, setCsrf, words } from "../../api/client";
import { keys, useSession } from "../../api/queries";
import type { Session } from "../../api/types";
import { Button } from "../../shell/Button";
import { Field } from "../../shell/Field";
import { personName } from "../../shell/format";
import { Facts, Section } from "../../shell/Page";
import { ErrorLine } from "../../shell/states";
import { toast } from "../../shell/toast";
import { NewPassword } from "../signin/NewPassword";
import { acceptable } from "../signin/password";
import styles from "./Settings.module.css";

export function Account() {
  const user = useSession().data?.user;
  if (!user) return null;
  return (
    <div className={styles.bottom}>
      <Section title="Account" lead="Name, organization and identifier stand on the reports that you sign.">
        <Facts
          facts={[
            ["Name", personName(user.name) || "Not set"],
            ["User name", user.login],
            ["Role", user.role.replace("+", " and ")],
            ["Organization", user.organization || "Not set"],
            ["Identifier", user.identifier || "Not set"],
          ]}
        />
      </Section>
      <Section title="Password" lead="A new password signs you out everywhere else.">
        <ChangePassword login={user.login} />
      </Section>
    </div>
  );
}

function ChangePassword({ login }: { login: string }) {
  const queries = useQueryClient();
  const [current, setCurrent] = useState("");
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const ready = current !== "" && acceptable(password, login) && password === again;
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (!ready) return;
    setBusy(true);
    setError("");
    try {
      const session = await api.put<Session>("/api/session/password", { current, password });
      setCsrf(session.csrf);
      queries.setQueryData(keys.session, session);
      setCurrent("");
      setPassword("");
      setAgain("");
      toast("The password is changed.", { tone: "good" });
    } catch (failed) {
      const wrong = failed instanceof ApiError && failed.code === "wrong_password";
      setError(wrong ? "The password of now is not right." : words(failed));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form className={styles.form} onSubmit={(event) => void submit(event)}>
      <Field
        label="Password of now"
        type="password"
        value={current}
        onChange={setCurrent}
        autoComplete="current-password"
        isRequired
      />
      <NewPassword
        label="New password"
        login={login}
        value={password}
        again={again}
        onChange={setPassword}
        onAgain={setAgain}
      />
      <ErrorLine error={error} />
      <Button type="submit" kind="primary" isDisabled={!ready || busy}>
        Change the password
      </Button>
    </form>
  );
}
