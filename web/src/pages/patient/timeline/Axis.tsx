import { type PointerEvent, useEffect, useRef, useState } from "react";
import type { RecordKind, TimelinePage } from "../../../api/types";
import { Button } from "../../../shell/Button";
import { moved, type Span, spanWords, ticks, zoomed } from "./axis";
import styles from "./Timeline.module.css";

const LANE = 15;
const LABEL = 104;

interface AxisProps {
  page: TimelinePage;
  span: Span;
  whole: Span;
  kinds: readonly RecordKind[];
  onSpan(span: Span): void;
}

/** The record along time, a lane for each kind: dragging over it zooms in, and so do its buttons and the arrow keys. */
export function Axis({ page, span, whole, kinds, onSpan }: AxisProps) {
  const place = useRef<SVGSVGElement>(null);
  // As wide as it is on the screen, so that its words keep their size.
  const [width, setWidth] = useState(720);
  useEffect(() => {
    const element = place.current?.parentElement;
    if (!element || typeof ResizeObserver === "undefined") return;
    const watch = new ResizeObserver(([entry]) => entry && setWidth(Math.max(320, entry.contentRect.width)));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  const [drag, setDrag] = useState<{ from: number; to: number } | null>(null);
  const height = kinds.length * LANE + 20;
  const x = (at: number) => LABEL + ((at - span.from) / (span.to - span.from || 1)) * (width - LABEL);
  const most = new Map<string, number>();
  for (const bar of page.bars) most.set(bar.kind, Math.max(most.get(bar.kind) ?? 0, bar.count));
  const shareOf = (event: PointerEvent) => {
    const box = place.current?.getBoundingClientRect();
    if (!box) return 0;
    const inner = ((event.clientX - box.left) / box.width) * width;
    return Math.min(1, Math.max(0, (inner - LABEL) / (width - LABEL)));
  };
  const end = () => {
    if (drag && Math.abs(drag.to - drag.from) > 0.01) {
      const [from, to] = [Math.min(drag.from, drag.to), Math.max(drag.from, drag.to)];
      const length = span.to - span.from;
      onSpan(zoomed({ from: span.from + from * length, to: span.from + to * length }, 1, whole));
    }
    setDrag(null);
  };
  const keyed = (key: string): Span | null => {
    if (key === "ArrowLeft") return moved(span, -0.25, whole);
    if (key === "ArrowRight") return moved(span, 0.25, whole);
    if (key === "+" || key === "=") return zoomed(span, 0.5, whole);
    if (key === "-") return zoomed(span, 2, whole);
    return key === "Home" ? whole : null;
  };
  return (
    <div className={styles.axis}>
      {/* biome-ignore lint/a11y/useSemanticElements: a picture that is moved by keys; what it shows is listed below it */}
      <div
        role="group"
        aria-label={`Time from ${spanWords(span)}. Arrow keys move it, plus and minus zoom, Home shows all.`}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it takes keys
        tabIndex={0}
        className={styles.drawing}
        onKeyDown={(event) => {
          const next = keyed(event.key);
          if (!next) return;
          event.preventDefault();
          event.stopPropagation();
          onSpan(next);
        }}
      >
        <svg
          ref={place}
          viewBox={`0 0 ${width} ${height}`}
          className={styles.svg}
          role="img"
          aria-label={`${page.total} entries`}
          onPointerDown={(event) => {
            event.currentTarget.setPointerCapture(event.pointerId);
            setDrag({ from: shareOf(event), to: shareOf(event) });
          }}
          onPointerMove={(event) => drag && setDrag({ ...drag, to: shareOf(event) })}
          onPointerUp={end}
          onPointerCancel={() => setDrag(null)}
        >
          {ticks(span).map((tick) => (
            <g key={tick.at}>
              <line x1={x(tick.at)} x2={x(tick.at)} y1={0} y2={height - 16} className={styles.rule} />
              <text x={Math.min(x(tick.at), width - 22)} y={height - 4} textAnchor="middle" className={styles.tick}>
                {tick.label}
              </text>
            </g>
          ))}
          {kinds.map((kind, lane) => (
            <g key={kind}>
              <text x={LABEL - 8} y={lane * LANE + 11} textAnchor="end" className={styles.lane}>
                {kind}
              </text>
              {page.bars
                .filter((bar) => bar.kind === kind)
                .map((bar) => {
                  const wide = (width - LABEL) / page.slots;
                  const tall = 3 + (LANE - 5) * Math.sqrt(bar.count / (most.get(kind) ?? 1));
                  return (
                    <rect
                      key={bar.slot}
                      x={LABEL + bar.slot * wide}
                      y={(lane + 1) * LANE - tall}
                      width={Math.max(wide - 1, 2)}
                      height={tall}
                      className={styles.bar}
                    >
                      <title>{`${kind}: ${bar.count}`}</title>
                    </rect>
                  );
                })}
            </g>
          ))}
          {drag && (
            <rect
              x={LABEL + Math.min(drag.from, drag.to) * (width - LABEL)}
              y={0}
              width={Math.abs(drag.to - drag.from) * (width - LABEL)}
              height={height - 16}
              className={styles.brush}
            />
          )}
        </svg>
      </div>
      <div className={styles.zoom}>
        <span className={styles.span}>{spanWords(span)}</span>
        <Button size="small" kind="ghost" aria-label="Earlier" onPress={() => onSpan(moved(span, -0.5, whole))}>
          ‹
        </Button>
        <Button size="small" kind="ghost" aria-label="Later" onPress={() => onSpan(moved(span, 0.5, whole))}>
          ›
        </Button>
        <Button size="small" kind="ghost" onPress={() => onSpan(zoomed(span, 0.5, whole))}>
          Zoom in
        </Button>
        <Button size="small" kind="ghost" onPress={() => onSpan(zoomed(span, 2, whole))}>
          Zoom out
        </Button>
        <Button size="small" kind="ghost" onPress={() => onSpan(whole)}>
          All
        </Button>
      </div>
    </div>
  );
}
