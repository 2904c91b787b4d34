import { type PointerEvent, useState } from "react";
import { type Affine, apply, invert, type Point } from "../geometry/affine";
import type { Pending } from "../state/measurements";
import { useObserved } from "../state/observable";
import type { Pane } from "../state/pane";
import type { Session } from "../state/session";
import { visible } from "./drawing";
import { fromStored, KINDS, type Kind, kindOf, linesOf, measurement } from "./kinds";
import styles from "./marks.module.css";
import { helperOf, labelAt, pathOf } from "./Shape";

interface Props {
  session: Session;
  pane: Pane;
}

/** A measurement that is being moved: whole (`point` null) or by one of its points. */
interface Moving {
  key: string;
  point: number | null;
  from: Point;
  points: Point[];
  now: Point[];
}

/** The measurements of the image that is shown, and the one that is being drawn. */
export function MeasureLayer({ session, pane }: Props) {
  const { measurements } = useObserved(session);
  useObserved(measurements);
  const [moving, setMoving] = useState<Moving | null>(null);
  const { image } = pane;
  if (!image) return null;
  const here = measurements.shown.filter(
    ({ body }) => body.image === image.uid && (body.frame === null || body.frame === image.frame),
  );
  const { affine } = pane;
  const place = (event: PointerEvent<SVGElement>): Point | null => {
    const box = event.currentTarget.ownerSVGElement?.getBoundingClientRect();
    const back = invert(affine);
    return box && back ? apply(back, [event.clientX - box.left, event.clientY - box.top]) : null;
  };
  const grab = (event: PointerEvent<SVGElement>, key: string, points: Point[], point: number | null) => {
    if (event.button !== 0 || session.draft) return;
    event.stopPropagation();
    session.activate(pane.id);
    measurements.choose(key);
    const from = place(event);
    if (!from || !measurements.writable) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    setMoving({ key, point, from, points, now: points });
  };
  const drag = (event: PointerEvent<SVGElement>) => {
    const at = moving && place(event);
    if (!moving || !at) return;
    event.stopPropagation();
    const by: Point = [at[0] - moving.from[0], at[1] - moving.from[1]];
    const now = moving.points.map(
      ([x, y], i): Point => (moving.point === null || moving.point === i ? [x + by[0], y + by[1]] : [x, y]),
    );
    setMoving({ ...moving, now });
  };
  const drop = (kind: Kind) => {
    if (!moving) return;
    const far = Math.max(
      ...moving.now.map(([x, y], i) => Math.hypot(x - moving.points[i][0], y - moving.points[i][1])),
    );
    if (far * pane.scale > 2) void measurements.replace(moving.key, measurement(kind, moving.now, image, pane.pixels));
    setMoving(null);
  };
  return (
    <>
      {here.map(({ key, body, pending, login }) => {
        const kind = kindOf(body);
        if (!kind) return null;
        const points = moving?.key === key ? moving.now : fromStored(kind, body.points);
        const chosen = measurements.chosen === key;
        const lines = linesOf(kind, points, image, pane.pixels);
        const named = `${KINDS[kind].name} ${lines.join(", ")}${login ? `, by ${login}` : ""}`;
        const tone = pending?.state === "failed" ? styles.failed : chosen ? styles.chosen : "";
        return (
          // biome-ignore lint/a11y/useSemanticElements: SVG has no button
          <g
            key={key}
            role="button"
            tabIndex={0}
            aria-label={named}
            aria-pressed={chosen}
            className={`${styles.measurement} ${tone}`}
            onPointerDown={(event) => grab(event, key, points, null)}
            onPointerMove={drag}
            onPointerUp={() => drop(kind)}
            onFocus={() => measurements.choose(key)}
            onKeyDown={(event) => {
              if (event.key === "Enter" || event.key === " ") event.preventDefault();
              if (event.key === "Delete" || event.key === "Backspace") {
                event.preventDefault();
                if (measurements.writable) void measurements.remove(key);
              }
            }}
          >
            <Figure kind={kind} points={points} affine={affine} />
            {chosen &&
              measurements.writable &&
              points.map((point, i) => {
                const [x, y] = apply(affine, point);
                return (
                  <circle
                    // biome-ignore lint/suspicious/noArrayIndexKey: a point is known by its place
                    key={i}
                    cx={x}
                    cy={y}
                    r={5}
                    className={styles.handle}
                    onPointerDown={(event) => grab(event, key, points, i)}
                    onPointerMove={drag}
                    onPointerUp={() => drop(kind)}
                  />
                );
              })}
            <Label lines={lines} at={labelAt(points, affine, pane.width, pane.height, lines.length)} />
            {pending && pending.state !== "saved" && (
              <Saving
                at={labelAt(points, affine, pane.width, pane.height, lines.length)}
                below={lines.length}
                words={wordsOf(pending)}
                again={pending.state === "failed" ? () => void measurements.again(pending.local) : null}
              />
            )}
          </g>
        );
      })}
      {session.draft && session.drawingIn === pane.id && (
        <g className={`${styles.measurement} ${styles.chosen} ${styles.drawn}`}>
          <Figure kind={session.draft.kind} points={visible(session.draft)} affine={affine} />
          {visible(session.draft).length >= KINDS[session.draft.kind].needs && (
            <Label
              lines={linesOf(session.draft.kind, visible(session.draft), image, pane.pixels)}
              at={labelAt(visible(session.draft), affine, pane.width, pane.height, 2)}
            />
          )}
        </g>
      )}
    </>
  );
}

function wordsOf({ state, problem }: Pending): string {
  if (state === "failed") return `not saved: ${problem} Try again`;
  return state === "local" ? "on the prior: not kept" : "saving…";
}

function Figure({ kind, points, affine }: { kind: Kind; points: Point[]; affine: Affine }) {
  const path = pathOf(kind, points, affine);
  return (
    <>
      <path d={path} className={styles.halo} />
      <path d={path} className={styles.line} />
      <path d={helperOf(kind, points, affine)} className={styles.helper} />
      <path d={path} className={styles.grip} />
      {points.map((point, i) => {
        const [x, y] = apply(affine, point);
        return kind === "rectangle" || kind === "ellipse" ? null : (
          // biome-ignore lint/suspicious/noArrayIndexKey: a point is known by its place
          <circle key={i} cx={x} cy={y} r={2.2} className={styles.end} />
        );
      })}
    </>
  );
}

function Label({ lines, at: [x, y] }: { lines: string[]; at: Point }) {
  return (
    <text className={styles.label} x={x} y={y}>
      {lines.map((line, i) => (
        <tspan key={line} x={x} dy={i === 0 ? 0 : 16}>
          {line}
        </tspan>
      ))}
    </text>
  );
}

function Saving({
  at: [x, y],
  below,
  words,
  again,
}: {
  at: Point;
  below: number;
  words: string;
  again: (() => void) | null;
}) {
  return (
    <text
      className={`${styles.label} ${again ? styles.again : ""}`}
      x={x}
      y={y + 16 * below}
      onPointerDown={(event) => {
        if (!again) return;
        event.stopPropagation();
        again();
      }}
    >
      {words}
    </text>
  );
}
