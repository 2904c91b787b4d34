import { type Ref, useEffect, useImperativeHandle, useRef, useState } from "react";
import { gapsInWords } from "./geometry/gaps";
import { PaneView } from "./panes/PaneView";
import { useObserved } from "./state/observable";
import { run } from "./state/run";
import { LAYOUTS, Session } from "./state/session";
import { waiting } from "./state/waiting";
import { type Choice, chooseSurface } from "./surface/choose";
import { SeriesStrip } from "./tools/SeriesStrip";
import { Toolbar } from "./tools/Toolbar";
import { priorWords, type ViewerHandle, type ViewerProps } from "./types";
import styles from "./Viewer.module.css";

/** The one session of the page's life: panes, tools and pixels go on from study to study. */
const session = new Session();
waiting.onReady = () => session.want();

/** Chooses what draws here, with its code, before the first study is shown. */
export async function warm(): Promise<void> {
  await chooseSurface();
}

/** Shows a study's images, and beside them an earlier study's. */
export function Viewer(props: ViewerProps & { ref?: Ref<ViewerHandle> }) {
  const { study, series, measurements, overlay, prior = null, mouse, ref } = props;
  const root = useRef<HTMLElement>(null);
  const [choice, setChoice] = useState<Choice | null>(null);
  const [strip, setStrip] = useState<boolean | null>(null);
  useObserved(session);
  useObserved(session.measurements);

  useEffect(() => {
    let gone = false;
    void chooseSurface().then((found) => !gone && setChoice(found));
    return () => {
      gone = true;
    };
  }, []);

  useEffect(() => {
    session.onSeen = (seen) => props.onSeen?.(seen);
    session.onImage = (image, frame) => props.onImage?.(image, frame);
  });
  useEffect(() => session.take(study, series), [study, series]);
  // After `take`: another study begins without measurements of the last one.
  const { onMeasure, onRemoveMeasurement } = props;
  useEffect(() => {
    void study;
    session.takeMeasurements(measurements, { onMeasure, onRemoveMeasurement });
  }, [study, measurements, onMeasure, onRemoveMeasurement]);
  useEffect(() => {
    void study;
    session.takePrior(prior);
  }, [study, prior]);
  useEffect(() => {
    void study;
    session.setOverlay(overlay ?? null);
  }, [study, overlay]);
  useEffect(() => session.setMouse(mouse), [mouse]);

  useImperativeHandle(
    ref,
    (): ViewerHandle => ({
      showImage: (image, frame) => void session.showImage(image, frame),
      setOverlay: (next) => session.setOverlay(next),
      reset: () => session.pane.reset(),
      runAction: (id) => run(session, id),
      focus: () => root.current?.querySelector<HTMLElement>(`[data-pane="${session.active}"]`)?.focus(),
    }),
    [],
  );

  const { columns, rows } = LAYOUTS[session.layout];
  const several = series.length > 1 || session.prior !== null;
  const withStrip = strip ?? several;
  const missing = gapsInWords(session.pane.gaps);
  const trouble = session.measurements.trouble || session.othersTrouble;
  return (
    <section ref={root} className={styles.viewer} aria-label="Images" data-context="viewer">
      <Toolbar session={session} keys={props.keys} strip={withStrip} onStrip={() => setStrip(!withStrip)} />
      {trouble && (
        <p className={styles.trouble} role="alert">
          {trouble}
        </p>
      )}
      <div className={styles.below}>
        {withStrip && <SeriesStrip session={session} />}
        {series.length === 0 && !session.prior ? (
          <div className={styles.empty}>This study holds no images.</div>
        ) : (
          choice && (
            <div
              className={styles.panes}
              style={{
                gridTemplateColumns: `repeat(${columns}, minmax(0, 1fr))`,
                gridTemplateRows: `repeat(${rows}, minmax(0, 1fr))`,
              }}
            >
              {session.open.map((pane) => (
                <PaneView
                  key={pane.id}
                  session={session}
                  pane={pane}
                  choice={choice}
                  patient={props.patient}
                  onRegion={props.onRegion}
                />
              ))}
            </div>
          )
        )}
      </div>
      {(choice?.why || session.prior || missing) && (
        <footer className={styles.foot}>
          <span>
            {missing && (
              <b className={styles.missing} role="status">
                {missing}
              </b>
            )}{" "}
            {choice?.why}
          </span>
          {session.prior && props.onClosePrior && (
            <button type="button" className={styles.close} onClick={props.onClosePrior}>
              Close: {priorWords(session.prior)}
            </button>
          )}
        </footer>
      )}
    </section>
  );
}

/** Loads the first images of the study that comes next, behind all that the study on the screen still wants. */
export function prefetch(study: string): Promise<void> {
  return waiting.prepare(study);
}
