import { type KeyboardEvent, type PointerEvent, useState } from "react";
import styles from "./Study.module.css";

const KEY = "aris.report.width";
const [LEAST, MOST, STEP, FIRST] = [360, 900, 24, 480];

const within = (width: number) => Math.max(LEAST, Math.min(MOST, Math.round(width)));

/** The width of the report panel, kept for the next study and the next day. */
export function usePanelWidth(): [number, (width: number) => void] {
  const [width, setWidth] = useState(() => within(Number(localStorage.getItem(KEY)) || FIRST));
  return [
    width,
    (next) => {
      setWidth(within(next));
      localStorage.setItem(KEY, String(within(next)));
    },
  ];
}

/** The line between images and report: dragged, or moved with the arrows. */
export function Splitter({ width, onChange }: { width: number; onChange(width: number): void }) {
  const drag = (event: PointerEvent<HTMLHRElement>) => {
    if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
    onChange(window.innerWidth - event.clientX);
  };
  const onKey = (event: KeyboardEvent) => {
    const by = { ArrowLeft: STEP, ArrowRight: -STEP, Home: MOST, End: -MOST }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    onChange(width + by);
  };
  return (
    <hr
      className={styles.splitter}
      aria-orientation="vertical"
      aria-label="Width of the report"
      aria-valuenow={width}
      aria-valuemin={LEAST}
      aria-valuemax={MOST}
      tabIndex={0}
      onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
      onPointerMove={drag}
      onKeyDown={onKey}
      onDoubleClick={() => onChange(FIRST)}
    />
  );
}
