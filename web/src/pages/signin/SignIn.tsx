import { type FormEvent, useState } from "react";
import { Navigate, useSearchParams } from "react-router";
import { useSession } from "../../api/queries";
import { Button } from "../../shell/Button";
import { Field } from "../../shell/Field";
import { ErrorLine, ErrorState, Loading } from "../../shell/states";
import { useTitle } from "../../shell/useTitle";
import { Front } from "./Front";
import styles from "./SignIn.module.css";
import { safeNext, useSignIn } from "./useSignIn";

/** What the other house's sign-in came back with, in words. */
const PROBLEMS: Record<string, string> = {
  oidc_unavailable: "The sign-in service cannot be reached. Try again later, or sign in with a password.",
  oidc_failed: "The sign-in service did not confirm who you are. Try again.",
  oidc_denied: "The sign-in was refused or cancelled.",
  oidc_expired: "The sign-in took too long. Try again.",
  oidc_unknown_user: "You are known there, but not here: ask an administrator of this workspace to add you.",
};

export default function SignIn() {
  useTitle("Sign in");
  const [search] = useSearchParams();
  const next = safeNext(search.get("next"));
  const { data: session, error: unreachable, refetch } = useSession();
  const [login, setLogin] = useState("");
  const [password, setPassword] = useState("");
  const { signIn, error, busy } = useSignIn();
  if (!session) return unreachable ? <ErrorState error={unreachable} retry={() => void refetch()} /> : <Loading />;
  if (session.setup_needed) return <Navigate to="/setup" replace />;
  if (session.user) return <Navigate to={next} replace />;
  const problem = search.get("problem")
    ? (PROBLEMS[search.get("problem") ?? ""] ?? "The sign-in failed. Try again.")
    : "";
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void signIn({ login: login.trim(), password }).then((done) => !done && setPassword(""));
  };
  return (
    <Front version={session.version} caution={session.model?.caution ?? ""}>
      <h1 className={styles.title}>Sign in</h1>
      <ErrorLine error={problem} />
      <form onSubmit={submit} className={styles.form}>
        <Field label="User name" value={login} onChange={setLogin} autoComplete="username" autoFocus isRequired />
        <Field
          label="Password"
          type="password"
          value={password}
          onChange={setPassword}
          autoComplete="current-password"
          isRequired
          error={error}
        />
        <Button type="submit" kind="primary" isDisabled={busy || !login.trim() || !password}>
          {busy ? "Signing in" : "Sign in"}
        </Button>
      </form>
      {session.oidc && (
        <>
          <p className={styles.or}>or</p>
          <Button onPress={() => window.location.assign(`/api/session/oidc?next=${encodeURIComponent(next)}`)}>
            Sign in with {session.oidc.name}
          </Button>
        </>
      )}
    </Front>
  );
}
