import type { Graphic } from "../../api/types";
import { apply, distance, type Point } from "../geometry/affine";
import { useObserved } from "../state/observable";
import type { Pane } from "../state/pane";
import type { Session } from "../state/session";
import styles from "./marks.module.css";

/** The outline of a graphic in image coordinates; a point becomes a small cross on the screen. */
export function outline({ kind, points, closed }: Pick<Graphic, "kind" | "points" | "closed">): {
  points: Point[];
  closed: boolean;
} {
  const ring = (at: (turn: number) => Point) => ({
    points: Array.from({ length: 64 }, (_, i) => at((i / 64) * 2 * Math.PI)),
    closed: true,
  });
  if (kind === "circle" && points.length >= 2) {
    const [middle, edge] = points;
    const radius = distance(middle, edge);
    return ring((turn) => [middle[0] + radius * Math.cos(turn), middle[1] + radius * Math.sin(turn)]);
  }
  if (kind === "ellipse" && points.length >= 4) {
    const middle: Point = [(points[0][0] + points[1][0]) / 2, (points[0][1] + points[1][1]) / 2];
    const [long, short] = [
      [points[1][0] - middle[0], points[1][1] - middle[1]],
      [points[3][0] - middle[0], points[3][1] - middle[1]],
    ];
    return ring((turn) => [
      middle[0] + long[0] * Math.cos(turn) + short[0] * Math.sin(turn),
      middle[1] + long[1] * Math.cos(turn) + short[1] * Math.sin(turn),
    ]);
  }
  return { points, closed };
}

/** What others drew on this image: presentation states and structured reports, never editable here. */
export function GraphicsLayer({ session, pane }: { session: Session; pane: Pane }) {
  useObserved(session);
  const { image } = pane;
  if (!image || !session.othersShown || pane.study !== session.study) return null;
  const all = session.overlay.graphics ?? session.others;
  return all
    .filter((each) => each.image === image.uid && (each.frame === null || each.frame === image.frame))
    .map((graphic, i) => {
      const shape = outline(graphic);
      const screen = shape.points.map((point) => apply(pane.affine, point));
      const [x, y] = screen.reduce((best, point) => (point[0] > best[0] ? point : best), screen[0] ?? [0, 0]);
      const path =
        screen.length > 1 ? `M${screen.map((point) => point.join(" ")).join("L")}${shape.closed ? "Z" : ""}` : "";
      return (
        <g
          // biome-ignore lint/suspicious/noArrayIndexKey: graphics have no names
          key={`${graphic.source} ${i}`}
          className={styles.other}
          aria-label={`${graphic.source}: ${graphic.text || graphic.kind}`}
        >
          <title>{graphic.source}</title>
          {graphic.kind !== "text" && <path d={path} className={styles.halo} />}
          {graphic.kind !== "text" && <path d={path} className={`${styles.line} ${styles.others}`} />}
          {graphic.kind === "point" &&
            screen.map(([px, py]) => (
              <path
                key={`${px} ${py}`}
                d={`M${px - 6} ${py}h12M${px} ${py - 6}v12`}
                className={`${styles.line} ${styles.others}`}
              />
            ))}
          {graphic.text && (
            <text className={styles.label} x={graphic.kind === "text" ? x : x + 8} y={y}>
              {graphic.text}
            </text>
          )}
        </g>
      );
    });
}
