import type { Region } from "../../api/types";
import { probability } from "../../shell/format";
import { apply, type Point } from "../geometry/affine";
import { useObserved } from "../state/observable";
import type { Pane } from "../state/pane";
import type { Session } from "../state/session";
import styles from "./marks.module.css";
import { useMapAddress } from "./useMapAddress";

interface Props {
  session: Session;
  pane: Pane;
  onRegion?(region: Region | null): void;
}

const same = (one: string, other: string) => one.trim().toLowerCase() === other.trim().toLowerCase();

/** The model's regions and its map of evidence over the image they belong to. */
export function EvidenceLayer({ session, pane, onRegion }: Props) {
  useObserved(session);
  const { image } = pane;
  const { overlay } = session;
  const address = useMapAddress(overlay.map?.source ?? null);
  if (!image || !session.evidence || pane.study !== session.study) return null;
  const mine = (each: { image: string; frame: number | null }) =>
    each.image === image.uid && (each.frame === null || each.frame === image.frame);
  const { affine } = pane;
  return (
    <>
      {overlay.map && address && mine(overlay.map) && (
        <image
          href={address}
          width={image.columns}
          height={image.rows}
          preserveAspectRatio="none"
          transform={`matrix(${affine.join(" ")})`}
          opacity={overlay.opacity}
          className={styles.map}
        />
      )}
      {overlay.regions.filter(mine).map((region) => {
        const [left, top, right, bottom] = region.box;
        const corners: Point[] = [
          [left, top],
          [right, top],
          [right, bottom],
          [left, bottom],
        ];
        const screen = corners.map((point) => apply(affine, point));
        const lit = overlay.lit !== null && same(overlay.lit, region.label);
        const dim = overlay.lit !== null && !lit;
        const x = Math.min(...screen.map(([each]) => each));
        const y = Math.min(...screen.map(([, each]) => each));
        const words = `${region.label}${region.probability === null ? "" : ` ${probability(region.probability)}`}`;
        return (
          <g
            key={`${region.label} ${region.box.join()}`}
            className={`${styles.region} ${lit ? styles.lit : ""} ${dim ? styles.dim : ""}`}
            aria-label={`Draft's evidence: ${words}${region.note ? `, ${region.note}` : ""}`}
          >
            <title>{region.note || words}</title>
            <polygon
              points={screen.map((point) => point.join()).join(" ")}
              onPointerEnter={() => onRegion?.(region)}
              onPointerLeave={() => onRegion?.(null)}
            />
            <text className={styles.regionLabel} x={x + 2} y={y < 22 ? y + 15 : y - 6}>
              {words}
            </text>
          </g>
        );
      })}
    </>
  );
}
