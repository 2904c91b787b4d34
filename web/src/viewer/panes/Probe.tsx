import { probed } from "../marks/probe";
import type { Pane } from "../state/pane";
import styles from "./Pane.module.css";
import type { Hover } from "./pointer";

/** The value under the pointer, beside it. */
export function Probe({ pane, hover }: { pane: Pane; hover: Hover }) {
  const { image, pixels } = pane;
  const found = image && pixels && probed(image, pixels, hover.image);
  if (!found) return null;
  const flip = hover.screen[0] > pane.width - 170;
  return (
    <div
      className={styles.probe}
      style={{
        left: hover.screen[0] + (flip ? -14 : 14),
        top: hover.screen[1] + 14,
        translate: flip ? "-100%" : undefined,
      }}
    >
      <b>{found.value}</b>
      <span>
        column {found.column}, row {found.row}
      </span>
    </div>
  );
}
