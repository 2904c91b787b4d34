import { type PointerEvent, useEffect, useRef } from "react";
import { frames } from "../pixels/frames";
import { keyOf } from "../pixels/images";
import { useObserved } from "../state/observable";
import type { Pane } from "../state/pane";
import type { Session } from "../state/session";
import styles from "./Track.module.css";
import { type Mark, runs, trackRows } from "./track";

const COLOURS: Record<Mark, string> = {
  absent: "#20262e",
  loading: "#2f3946",
  loaded: "#5a6675",
  seen: "#4aa8ff",
  failed: "#ff6b61",
};

/** The stack at a glance, beside the image: what is loaded, what was seen, what did not come; a drag scrolls. */
export function Track({ session, pane }: { session: Session; pane: Pane }) {
  useObserved(pane);
  const canvas = useRef<HTMLCanvasElement>(null);
  const count = pane.images.length;
  // The thumb goes with every image; the marks of a thousand images need be drawn a few times a second only.
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
  useEffect(() => {
    timer.current ??= setTimeout(() => {
      timer.current = null;
      drawMarks(canvas.current, session, pane);
    }, 120);
  });
  useEffect(() => () => clearTimeout(timer.current ?? undefined), []);
  if (count < 2) return null;
  const jump = (event: PointerEvent<HTMLDivElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    pane.stop();
    pane.show(Math.floor(((event.clientY - box.top) / Math.max(1, box.height)) * count));
  };
  return (
    <div
      className={styles.track}
      title="Loaded images are grey, seen ones blue, missing ones red"
      onPointerDown={(event) => {
        session.activate(pane.id);
        event.currentTarget.setPointerCapture(event.pointerId);
        jump(event);
      }}
      onPointerMove={(event) => event.buttons & 1 && jump(event)}
    >
      <canvas ref={canvas} className={styles.marks} width={6} />
      <div className={styles.thumb} style={{ top: `${(pane.index / Math.max(1, count - 1)) * 100}%` }} />
    </div>
  );
}

function drawMarks(element: HTMLCanvasElement | null, session: Session, pane: Pane): void {
  const context = element?.getContext("2d");
  if (!element || !context) return;
  const height = element.clientHeight;
  if (element.height !== height) element.height = height;
  const rows = trackRows(
    pane.images.map((image) => ({ state: frames.state(image), seen: session.isSeen(keyOf(image)) })),
    height,
  );
  context.clearRect(0, 0, element.width, height);
  for (const { mark, from, to } of runs(rows)) {
    context.fillStyle = COLOURS[mark];
    context.fillRect(0, from, element.width, to - from);
  }
}
