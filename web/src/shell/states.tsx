import type { ReactNode } from "react";
import { Link } from "react-aria-components";
import { ApiError, words } from "../api/client";
import { Button } from "./Button";
import styles from "./states.module.css";

/** Said while something is awaited; it appears after a moment only, so that quick answers do not flicker. */
export function Loading({ children = "Loading" }: { children?: ReactNode }) {
  return (
    <div className={styles.loading} role="status">
      <span className={styles.spinner} aria-hidden="true" />
      {children}
    </div>
  );
}

export function EmptyState({ title, children, actions }: { title: string; children?: ReactNode; actions?: ReactNode }) {
  return (
    <div className={styles.state}>
      <h2 className={styles.title}>{title}</h2>
      {children && <div className={styles.text}>{children}</div>}
      {actions && <div className={styles.actions}>{actions}</div>}
    </div>
  );
}

/** Said where something failed: in the server's own words, with the way to try again. */
export function ErrorState({ error, retry, title }: { error: unknown; retry?: () => void; title?: string }) {
  const offline = error instanceof ApiError && error.status === 0;
  // Asking again changes nothing: the way leads back.
  const forbidden = error instanceof ApiError && error.status === 403;
  return (
    <div className={styles.state} role="alert">
      <h2 className={styles.title}>
        {forbidden
          ? "This page is not for your role"
          : (title ?? (offline ? "No connection to the server" : "This did not work"))}
      </h2>
      <div className={styles.text}>{words(error)}</div>
      {forbidden ? (
        <div className={styles.actions}>
          <Link href="/" className={styles.way ?? ""}>
            Back to the first page
          </Link>
        </div>
      ) : (
        retry && (
          <div className={styles.actions}>
            <Button onPress={retry}>Try again</Button>
          </div>
        )
      )}
    </div>
  );
}

/** A line about a failed act inside a form or a panel. */
export function ErrorLine({ error }: { error: unknown }) {
  if (!error) return null;
  return (
    <p className={styles.line} role="alert">
      {words(error)}
    </p>
  );
}
