import { useSyncExternalStore } from "react";
import { ApiError, endsSession, words } from "../api/client";
import { Button, IconButton } from "./Button";
import { Close } from "./icons";
import styles from "./toast.module.css";

interface Said {
  id: number;
  text: string;
  tone: "plain" | "good" | "error";
  action?: { label: string; run: () => void };
}
let said: readonly Said[] = [];
let next = 1;
const watchers = new Set<() => void>();

function set(list: readonly Said[]): void {
  said = list;
  for (const watcher of watchers) watcher();
}
function dismiss(id: number): void {
  set(said.filter((one) => one.id !== id));
}

/** Say something for a few seconds at the lower edge, also to a screen reader. Errors stay until they are closed. */
export function toast(text: string, options: { tone?: Said["tone"]; action?: Said["action"] } = {}): void {
  const id = next++;
  const tone = options.tone ?? "plain";
  set([...said.filter((one) => one.text !== text).slice(-3), { id, text, tone, action: options.action }]);
  if (tone !== "error") setTimeout(() => dismiss(id), options.action ? 10_000 : 5_000);
}

/** Say what went wrong: `catch(toastError)`. */
export function toastError(error: unknown): void {
  // Signing in again covers the page at once; what stays to be said is that the act was not done.
  const ended = error instanceof ApiError && endsSession(error);
  toast(ended ? "That was not done, because your session had ended. Do it again." : words(error), { tone: "error" });
}

/** The place of the messages; the frame shows it. */
export function Toasts() {
  const list = useSyncExternalStore(
    (watcher) => {
      watchers.add(watcher);
      return () => void watchers.delete(watcher);
    },
    () => said,
  );
  return (
    <section className={styles.toasts} aria-live="polite" aria-label="Messages">
      {list.map((one) => (
        <div key={one.id} className={`${styles.toast} ${styles[one.tone]}`}>
          <span className={styles.text}>{one.text}</span>
          {one.action && (
            <Button
              size="small"
              onPress={() => {
                one.action?.run();
                dismiss(one.id);
              }}
            >
              {one.action.label}
            </Button>
          )}
          <IconButton label="Close the message" size="small" onPress={() => dismiss(one.id)}>
            <Close />
          </IconButton>
        </div>
      ))}
    </section>
  );
}
