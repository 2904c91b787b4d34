import { type FormEvent, useState } from "react";
import { Dialog, Heading, Modal, ModalOverlay } from "react-aria-components";
import { useSession } from "../../api/queries";
import { Button } from "../../shell/Button";
import { Field } from "../../shell/Field";
import styles from "./SignIn.module.css";
import { useSignIn } from "./useSignIn";

/** Covers a page whose session has ended. What was written on it is still there after signing in again. */
export function SignAgain({ login }: { login: string }) {
  const [password, setPassword] = useState("");
  const { signIn, error, busy } = useSignIn();
  const oidc = useSession().data?.oidc;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void signIn({ login, password }).then(() => setPassword(""));
  };
  return (
    <ModalOverlay isOpen isKeyboardDismissDisabled className={styles.cover ?? ""} data-aris-modal="">
      <Modal className={styles.card ?? ""}>
        <Dialog className={styles.dialog ?? ""}>
          <Heading slot="title" className={styles.title ?? ""}>
            Sign in again
          </Heading>
          <p className={styles.lead}>Your session has ended. What you wrote on this page is kept.</p>
          <form onSubmit={submit} className={styles.form}>
            <Field label="User name" value={login} isReadOnly autoComplete="username" />
            <Field
              label="Password"
              type="password"
              value={password}
              onChange={setPassword}
              autoComplete="current-password"
              autoFocus
              error={error}
            />
            <Button type="submit" kind="primary" isDisabled={busy || !password}>
              Sign in
            </Button>
            {oidc && <p className={styles.hint}>To sign in with {oidc.name}, open the workspace in another tab.</p>}
            <Button kind="ghost" onPress={() => window.location.assign("/signin")}>
              Sign in as somebody else
            </Button>
          </form>
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}
