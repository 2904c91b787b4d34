import { day, personName } from "../../shell/format";
import { scaleBar } from "../geometry/calibration";
import { gapWords } from "../geometry/gaps";
import { LINK_WORDS } from "../geometry/linking";
import { letters } from "../geometry/orientation";
import { digits } from "../geometry/window";
import { useObserved } from "../state/observable";
import type { Pane } from "../state/pane";
import type { Session } from "../state/session";
import { priorWords, type ViewerProps } from "../types";
import styles from "./Corners.module.css";

interface Props {
  session: Session;
  pane: Pane;
  patient: ViewerProps["patient"];
}

/** What stands around an image: whose it is, which one, how it is shown, and which way round. */
export function Corners({ session, pane, patient }: Props) {
  useObserved(pane);
  useObserved(session);
  const { image } = pane;
  if (!image) return null;
  const prior = session.prior && pane.study === session.prior.study ? session.prior : null;
  const link = session.linkWith(pane);
  const preset = pane.presets.find(({ center, width }) => center === pane.window.center && width === pane.window.width);
  const { affine } = pane;
  const sides = letters(image, affine);
  const inverted = pane.inverted !== image.inverted;
  return (
    <div className={styles.corners} aria-hidden="true">
      {prior && <div className={styles.prior}>{priorWords(prior)}</div>}
      {session.texts && (
        <>
          <div className={`${styles.corner} ${styles.topLeft}`}>
            {session.identity && patient && !prior && (
              <>
                <b>{personName(patient.name)}</b>
                <span>
                  {patient.identifier}
                  {patient.birth_date && ` · born ${day(patient.birth_date)}`}
                </span>
              </>
            )}
            {prior ? <span>{prior.description}</span> : patient?.date && <span>{day(patient.date)}</span>}
          </div>
          <div className={`${styles.corner} ${styles.topRight}`}>
            <span className={styles.clipped}>{pane.description}</span>
            <span>
              {pane.modality} · image <b>{pane.index + 1}</b> of {pane.images.length}
            </span>
            {(image.view || image.laterality) && (
              <span>{[image.view, image.laterality].filter(Boolean).join(" · ")}</span>
            )}
          </div>
          {pane.scene && (
            <div className={`${styles.corner} ${styles.bottomLeft}`}>
              <span>
                W {digits(pane.window.width, pane.window.width)} · L {digits(pane.window.center, pane.window.width)}
                {preset && ` · ${preset.name}`}
                {inverted !== image.inverted && " · inverted"}
              </span>
              <span>
                {Math.round(pane.scale * 100)} %{pane.view.rotation !== 0 && ` · turned ${pane.view.rotation}°`}
                {(pane.view.flipHorizontal || pane.view.flipVertical) && " · flipped"}
              </span>
            </div>
          )}
          <div className={`${styles.corner} ${styles.bottomRight}`}>
            {pane.gaps.get(pane.index) && <span className={styles.gap}>{gapWords(pane.gaps.get(pane.index))}</span>}
            {image.lossy && <span>lossy compression</span>}
            {image.notes.map((note) => (
              <span key={note}>{note}</span>
            ))}
            {image.calibration_note && <span title={image.calibration_note}>{image.calibration_note}</span>}
            {pane.playing && <span>{pane.rate} images/s</span>}
            {link && <span>{LINK_WORDS[link]}</span>}
            {session.isTied(pane) && <span>{session.isTied(pane)}</span>}
          </div>
        </>
      )}
      {sides && pane.scene && (
        <>
          <span className={`${styles.letter} ${styles.left}`}>{sides.left}</span>
          <span className={`${styles.letter} ${styles.right}`}>{sides.right}</span>
          <span className={`${styles.letter} ${styles.top}`}>{sides.top}</span>
          <span className={`${styles.letter} ${styles.bottom}`}>{sides.bottom}</span>
        </>
      )}
      <ScaleBar pane={pane} />
    </div>
  );
}

function ScaleBar({ pane }: { pane: Pane }) {
  const { image } = pane;
  if (!pane.scene || !image?.spacing || image.calibration === "pixels only" || image.calibrated_within.length > 0)
    return null;
  const perMm = pane.scale / Math.min(image.spacing[0], image.spacing[1]);
  const bar = scaleBar(perMm, Math.min(240, pane.width * 0.35));
  if (!bar) return null;
  const words = bar.mm >= 10 ? `${bar.mm / 10} cm` : `${bar.mm} mm`;
  return (
    <div className={styles.bar} style={{ width: bar.length }}>
      {words}
      {image.calibration === "at detector" && " at detector"}
    </div>
  );
}
