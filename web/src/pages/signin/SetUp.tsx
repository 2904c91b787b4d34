import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useEffect, useState } from "react";
import { Navigate, useLocation, useNavigate } from "react-router";
import { api, setCsrf } from "../../api/client";
import { keys, useSession } from "../../api/queries";
import type { SetUp as Body, Session } from "../../api/types";
import { Button } from "../../shell/Button";
import { Field } from "../../shell/Field";
import { ErrorLine, ErrorState, Loading } from "../../shell/states";
import { useTitle } from "../../shell/useTitle";
import { Front } from "./Front";
import { NewPassword } from "./NewPassword";
import { acceptable } from "./password";
import styles from "./SignIn.module.css";

/** The first run: the code that the server printed makes the first user, who reads and administers. */
export default function SetUp() {
  useTitle("Set up");
  const queries = useQueryClient();
  const navigate = useNavigate();
  const { hash } = useLocation();
  const { data: session, error: unreachable, refetch } = useSession();
  const [code, setCode] = useState(() => decodeURIComponent(hash.slice(1)));
  const [family, setFamily] = useState("");
  const [given, setGiven] = useState("");
  const [login, setLogin] = useState("");
  const [organization, setOrganization] = useState("");
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);

  useEffect(() => {
    // The code leaves the address at once: not in the history, not in a picture of the screen.
    if (!hash) return;
    setCode(decodeURIComponent(hash.slice(1)));
    void navigate("/setup", { replace: true });
  }, [hash, navigate]);

  if (!session) return unreachable ? <ErrorState error={unreachable} retry={() => void refetch()} /> : <Loading />;
  if (!session.setup_needed) return <Navigate to={session.user ? "/" : "/signin"} replace />;

  const ready = Boolean(
    code.trim() &&
      family.trim() &&
      organization.trim() &&
      login.trim() &&
      acceptable(password, login) &&
      password === again,
  );
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (!ready) return;
    setBusy(true);
    setError(null);
    const name = [family, given]
      .map((part) => part.trim().replaceAll("^", " "))
      .join("^")
      .replace(/\^$/, "");
    const body: Body = {
      code: code.trim(),
      login: login.trim(),
      password,
      name,
      organization: organization.trim(),
      identifier: "",
    };
    try {
      const made = await api.post<Session>("/api/setup", body);
      setCsrf(made.csrf);
      queries.setQueryData(keys.session, made);
    } catch (failed) {
      setError(failed);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Front version={session.version} caution={session.model?.caution ?? ""}>
      <h1 className={styles.title}>Set up the reading room</h1>
      <p className={styles.lead}>
        You become its first user, who reads studies and administers the workspace. More users are added in the
        settings.
      </p>
      <form onSubmit={(event) => void submit(event)} className={styles.form}>
        <Field
          label="Set-up code"
          value={code}
          onChange={setCode}
          isRequired
          autoComplete="off"
          spellCheck="false"
          hint="Printed where the server was started."
        />
        <div className={styles.pair}>
          <Field
            label="Family name"
            value={family}
            onChange={setFamily}
            isRequired
            autoComplete="family-name"
            autoFocus
          />
          <Field label="Given name" value={given} onChange={setGiven} autoComplete="given-name" />
        </div>
        <Field
          label="Organization"
          value={organization}
          onChange={setOrganization}
          isRequired
          hint="Stands on reports."
        />
        <Field label="User name" value={login} onChange={setLogin} isRequired autoComplete="username" maxLength={64} />
        <NewPassword login={login} value={password} again={again} onChange={setPassword} onAgain={setAgain} />
        <ErrorLine error={error} />
        <Button type="submit" kind="primary" isDisabled={!ready || busy}>
          {busy ? "Setting up" : "Set up and sign in"}
        </Button>
      </form>
    </Front>
  );
}
