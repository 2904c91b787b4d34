import { type KeyboardEvent, type PointerEvent, useEffect, useMemo, useRef, useState } from "react";
import type { Region } from "../../api/types";
import { apply, type Point } from "../geometry/affine";
import { gapWords } from "../geometry/gaps";
import { digits } from "../geometry/window";
import { EvidenceLayer } from "../marks/EvidenceLayer";
import { GraphicsLayer } from "../marks/GraphicsLayer";
import { isKind } from "../marks/kinds";
import { MeasureLayer } from "../marks/MeasureLayer";
import { useObserved } from "../state/observable";
import type { Pane } from "../state/pane";
import type { Session } from "../state/session";
import type { Choice } from "../surface/choose";
import { carried, takesSeries } from "../tools/carried";
import { priorWords, type ViewerProps } from "../types";
import { Corners } from "./Corners";
import { Loupe } from "./Loupe";
import styles from "./Pane.module.css";
import { PaneState } from "./PaneState";
import { Probe } from "./Probe";
import { type Hover, PanePointer } from "./pointer";
import { Track } from "./Track";

interface Props {
  session: Session;
  pane: Pane;
  choice: Choice;
  patient: ViewerProps["patient"];
  onRegion?(region: Region | null): void;
}

/** One pane: the drawn image, its marks, the words around it, and the track of its stack. */
export function PaneView({ session, pane, choice, patient, onRegion }: Props) {
  useObserved(session);
  useObserved(pane);
  const host = useRef<HTMLDivElement>(null);
  const stage = useRef<HTMLDivElement>(null);
  const [glass, setGlass] = useState<Hover | null>(null);
  const [hover, setHover] = useState<Hover | null>(null);
  const [over, setOver] = useState(false);
  const pointer = useMemo(() => new PanePointer(session, pane, setGlass), [session, pane]);
  const active = session.pane === pane;

  useEffect(() => {
    const element = host.current;
    if (!element) return;
    pane.attach(element, choice);
    const watch = new ResizeObserver(() => pane.resize(element.clientWidth, element.clientHeight));
    watch.observe(element);
    return () => {
      watch.disconnect();
      pane.detach();
    };
  }, [pane, choice]);

  const at = (event: { clientX: number; clientY: number }): Point => {
    const box = stage.current?.getBoundingClientRect();
    return box ? [event.clientX - box.left, event.clientY - box.top] : [0, 0];
  };

  // React listens to wheels passively; the page must not scroll under the image.
  useEffect(() => {
    const element = stage.current;
    if (!element) return;
    const turn = (event: WheelEvent) => {
      event.preventDefault();
      session.activate(pane.id);
      const box = element.getBoundingClientRect();
      pointer.wheel(event.deltaY, event.deltaMode, [event.clientX - box.left, event.clientY - box.top], event.ctrlKey);
    };
    element.addEventListener("wheel", turn, { passive: false });
    return () => element.removeEventListener("wheel", turn);
  }, [pointer, session, pane]);

  const probing = session.tool === "probe";
  const follow = (screen: Point) => {
    const image = pointer.toImage(screen);
    setHover(image ? { screen, image } : null);
  };
  const move = (event: PointerEvent) => {
    pointer.move(at(event));
    if (probing) follow(at(event));
  };

  /** Shift with the arrows moves a cross (Ctrl too: finely), Enter presses there: all that a mouse draws can be drawn with keys. */
  const keys = (event: KeyboardEvent) => {
    if (event.key === "Escape" && session.cancelDrawing()) {
      event.preventDefault();
      return;
    }
    if (!pane.image || !(probing || isKind(session.tool))) return;
    const step: Point | undefined = {
      ArrowLeft: [-1, 0] as Point,
      ArrowRight: [1, 0] as Point,
      ArrowUp: [0, -1] as Point,
      ArrowDown: [0, 1] as Point,
    }[event.key];
    const here = hover ? apply(pane.affine, hover.image) : ([pane.width / 2, pane.height / 2] as Point);
    if (step && event.shiftKey && !event.altKey) {
      event.preventDefault();
      const by = event.ctrlKey ? 1 : 10;
      const next: Point = [here[0] + step[0] * by, here[1] + step[1] * by];
      follow(next);
      pointer.move(next);
    } else if (event.key === "Enter" && isKind(session.tool) && event.target === event.currentTarget) {
      event.preventDefault();
      follow(here);
      pointer.down(0, here);
      pointer.up(here);
    }
  };
  const cross = hover && document.activeElement === stage.current && (probing || isKind(session.tool));

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: a series that is dropped here is opened by a click in the list too
    <div
      className={`${styles.pane} ${active && session.count > 1 ? styles.active : ""} ${over ? styles.over : ""}`}
      onDragOver={(event) => {
        if (!takesSeries(event.dataTransfer)) return;
        event.preventDefault();
        event.dataTransfer.dropEffect = "copy";
        setOver(true);
      }}
      onDragLeave={(event) => !event.currentTarget.contains(event.relatedTarget as Node | null) && setOver(false)}
      onDrop={(event) => {
        setOver(false);
        const series = carried(event.dataTransfer);
        if (!series) return;
        event.preventDefault();
        session.drop(pane, series);
      }}
    >
      <div
        ref={stage}
        className={`${styles.stage} ${styles[session.tool] ?? ""}`}
        role="application"
        aria-roledescription="image"
        aria-label={labelOf(pane, session)}
        data-context="viewer"
        data-pane={pane.id}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: keys act on the image that has the focus
        tabIndex={0}
        onFocus={() => session.activate(pane.id)}
        onKeyDown={keys}
        onContextMenu={(event) => event.preventDefault()}
        onPointerDown={(event) => {
          if (event.button === 1) event.preventDefault();
          event.currentTarget.focus({ preventScroll: true });
          event.currentTarget.setPointerCapture(event.pointerId);
          pointer.down(event.button, at(event));
        }}
        onPointerMove={move}
        onPointerUp={(event) => pointer.up(at(event))}
        onPointerCancel={(event) => pointer.up(at(event))}
        onPointerLeave={() => setHover(null)}
        onDoubleClick={() => !isKind(session.tool) && session.turnView("fit")}
      >
        <div ref={host} className={`${styles.host} ${pane.scene ? "" : styles.blank}`} />
        <svg className={styles.marks} aria-label="Marks on the image">
          <EvidenceLayer session={session} pane={pane} onRegion={onRegion} />
          <GraphicsLayer session={session} pane={pane} />
          <MeasureLayer session={session} pane={pane} />
          {cross && <Cross at={apply(pane.affine, hover.image)} />}
        </svg>
        <Corners session={session} pane={pane} patient={patient} />
        {probing && hover && <Probe pane={pane} hover={hover} />}
        {glass && <Loupe pane={pane} hover={glass} />}
        <PaneState pane={pane} />
      </div>
      <Track session={session} pane={pane} />
    </div>
  );
}

function Cross({ at: [x, y] }: { at: Point }) {
  return (
    <path
      className={styles.cross}
      d={`M${x - 14} ${y}H${x - 3}M${x + 3} ${y}H${x + 14}M${x} ${y - 14}V${y - 3}M${x} ${y + 3}V${y + 14}`}
    />
  );
}

function labelOf(pane: Pane, session: Session): string {
  const { image } = pane;
  if (!image) return pane.trouble || (pane.opening ? "Images are loading" : "Empty pane");
  const parts = [
    session.prior?.study === pane.study && priorWords(session.prior),
    pane.modality,
    pane.description,
    image.view,
    image.laterality,
    `image ${pane.index + 1} of ${pane.images.length}`,
    `window ${digits(pane.window.width, pane.window.width)}, level ${digits(pane.window.center, pane.window.width)}`,
    gapWords(pane.gaps.get(pane.index)),
    pane.problem && `not shown: ${pane.problem}`,
  ];
  return parts.filter(Boolean).join(", ");
}
