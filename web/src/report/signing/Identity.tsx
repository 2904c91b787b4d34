import { type FormEvent, type ReactNode, useEffect, useRef, useState } from "react";
import { withQuery } from "../../api/client";
import { useSession } from "../../api/queries";
import { Button } from "../../shell/Button";
import { Field } from "../../shell/Field";
import { personName } from "../../shell/format";
import { onProof } from "./proof";
import styles from "./Signing.module.css";

/** Where the provider's window comes back to: it closes itself, so that this page and its text stay. */
const PROOF_PAGE = "/study/proof?window=proof";

/** What proves who signs: the password, or "" where he has just signed in again at the site's provider. */
export interface Proof {
  password: string;
}

export interface IdentityProps {
  action: string;
  busy: boolean;
  /** Why it cannot be signed yet; "" if it can. */
  blocked: string;
  children?: ReactNode;
  onProved(proof: Proof): void;
  onCancel(): void;
}

/** Asks who signs for a proof: each signature has its own. */
export function Identity({ action, busy, blocked, children, onProved, onCancel }: IdentityProps) {
  const { data: session, refetch } = useSession();
  const [password, setPassword] = useState("");
  const form = useRef<HTMLFormElement>(null);
  const elsewhere = session?.method === "oidc";
  const proved = elsewhere && new Date(session?.proved_until ?? 0).getTime() > Date.now();
  useEffect(() => {
    if (!elsewhere) return;
    const back = () => void refetch();
    // The provider's window tells when it ends; the focus comes back also where it was closed by hand.
    const untold = onProof(back);
    window.addEventListener("focus", back);
    return () => {
      untold();
      window.removeEventListener("focus", back);
    };
  }, [elsewhere, refetch]);
  // A proof counts for a minute or so: then it is asked for again, and not refused at the signature.
  const until = new Date(session?.proved_until ?? 0).getTime();
  const [, setPassed] = useState(0);
  useEffect(() => {
    const left = until - Date.now();
    if (!(left > 0)) return;
    const timer = setTimeout(() => setPassed(until), left + 50);
    return () => clearTimeout(timer);
  }, [until]);
  useEffect(() => {
    form.current?.querySelector<HTMLInputElement>("input[type=password]")?.focus();
  }, []);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (blocked || busy || (!elsewhere && password === "") || (elsewhere && !proved)) return;
    onProved({ password: elsewhere ? "" : password });
  };
  const name = personName(session?.user?.name ?? "") || session?.user?.login;
  return (
    <form ref={form} className={styles.identity} onSubmit={submit}>
      {elsewhere ? (
        <div className={styles.elsewhere}>
          <p>
            {proved
              ? `${session?.oidc?.name ?? "Your provider"} has just confirmed that you are ${name}.`
              : `Sign in again at ${session?.oidc?.name ?? "your provider"} to sign as ${name}.`}
          </p>
          {!proved && (
            <Button
              onPress={() =>
                window.open(withQuery("/api/session/oidc", { prove: 1, next: PROOF_PAGE }), "aris-proof", "popup")
              }
            >
              Sign in again
            </Button>
          )}
        </div>
      ) : (
        <Field
          label={`Password of ${name}`}
          type="password"
          value={password}
          onChange={setPassword}
          autoComplete="current-password"
          isDisabled={busy}
        />
      )}
      {children}
      <div className={styles.buttons}>
        {blocked && <span className={styles.blocked}>{blocked}</span>}
        <Button onPress={onCancel}>Cancel</Button>
        <Button
          kind="primary"
          type="submit"
          isDisabled={busy || blocked !== "" || (elsewhere ? !proved : password === "")}
        >
          {busy ? "Signing…" : action}
        </Button>
      </div>
    </form>
  );
}
