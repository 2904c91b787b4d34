import { Button } from "../../shell/Button";
import { useObserved } from "../state/observable";
import type { Pane } from "../state/pane";
import styles from "./Pane.module.css";

/** What is said in place of an image that is not there: a picture of another slice is never left standing. */
export function PaneState({ pane }: { pane: Pane }) {
  useObserved(pane);
  if (pane.opening) return <Notice>Loading the series…</Notice>;
  if (pane.trouble) return <Notice retry={() => pane.retry()}>{pane.trouble}</Notice>;
  if (!pane.image) return <Notice>Choose a series to show here.</Notice>;
  if (pane.state === "failed") {
    const { problem, image } = pane;
    return (
      <Notice retry={image.problem ? undefined : () => pane.retry()}>
        Image {pane.index + 1} cannot be shown: {problem.replace(/^the image cannot be shown: /i, "")}
      </Notice>
    );
  }
  if (pane.state !== "loaded") return <Notice>Image {pane.index + 1} is loading…</Notice>;
  return null;
}

function Notice({ children, retry }: { children: React.ReactNode; retry?: () => void }) {
  return (
    <div className={styles.notice} data-theme="dark">
      <p>{children}</p>
      {retry && (
        // Presses on the button are not presses on the image.
        <div onPointerDown={(event) => event.stopPropagation()}>
          <Button size="small" onPress={retry}>
            Try again
          </Button>
        </div>
      )}
    </div>
  );
}
