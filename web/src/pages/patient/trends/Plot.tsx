import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import type { TrendPoint, TrendSeries } from "../../../api/types";
import { moment } from "../../../shell/format";
import { useSource } from "../source/source";
import { type Span, ticks } from "../timeline/axis";
import { ends, shortNumber, side, steps } from "./plot";
import styles from "./Trends.module.css";

const HEIGHT = 168;
const LEFT = 46;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 22;

/** One quantity along time with its reference band. The points are one stop of the keyboard: arrows go from one to the next. */
export function Plot({ series, span }: { series: TrendSeries; span: Span }) {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(640);
  const [at, setAt] = useState<number | null>(null);
  const source = useSource();
  useEffect(() => {
    const element = box.current;
    if (!element || typeof ResizeObserver === "undefined") return;
    const watch = new ResizeObserver(([entry]) => entry && setWidth(Math.max(280, entry.contentRect.width)));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  const points = series.points.filter((each) => {
    const time = new Date(each.at).getTime();
    return time >= span.from && time <= span.to;
  });
  if (points.length === 0) return <p className={styles.none}>No result of it within this span.</p>;
  const [least, greatest] = ends(points, series.band_low, series.band_high);
  const x = (point: TrendPoint) =>
    LEFT + ((new Date(point.at).getTime() - span.from) / (span.to - span.from || 1)) * (width - LEFT - RIGHT);
  const y = (value: number) => TOP + (1 - (value - least) / (greatest - least || 1)) * (HEIGHT - TOP - BOTTOM);
  const inside = (value: number) => Math.min(HEIGHT - BOTTOM, Math.max(TOP, y(value)));
  const bandTop = series.band_high === null ? TOP : inside(series.band_high);
  const bandBottom = series.band_low === null ? HEIGHT - BOTTOM : inside(series.band_low);
  const banded = series.band_low !== null || series.band_high !== null;
  const current = at === null ? null : points[Math.min(at, points.length - 1)];
  const go = (next: number) => {
    const place = Math.min(points.length - 1, Math.max(0, next));
    setAt(place);
    const point = points[place];
    if (point) source.peek([point.id]);
  };
  const keys = (event: KeyboardEvent) => {
    const from = at ?? points.length;
    const moves: Record<string, number> = {
      ArrowLeft: from - 1,
      ArrowRight: at === null ? points.length - 1 : from + 1,
      Home: 0,
      End: points.length - 1,
    };
    const next = moves[event.key];
    if (next !== undefined) go(next);
    else if ((event.key === "Enter" || event.key === " ") && current) source.pin([current.id]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div ref={box} className={styles.plot}>
      {/* biome-ignore lint/a11y/useSemanticElements: a picture with points that the arrow keys reach */}
      <div
        role="group"
        aria-label={`${series.name}, ${points.length} results in ${series.unit || "no unit"}. Arrow keys go from result to result, Enter shows its source.`}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it takes keys
        tabIndex={0}
        className={styles.drawing}
        onKeyDown={keys}
        onBlur={() => setAt(null)}
      >
        <svg width={width} height={HEIGHT} role="img" aria-label={`Plot of ${series.name}`}>
          {banded && (
            <rect
              x={LEFT}
              y={Math.min(bandTop, bandBottom)}
              width={width - LEFT - RIGHT}
              height={Math.abs(bandBottom - bandTop)}
              className={styles.band}
            >
              <title>{series.band_text}</title>
            </rect>
          )}
          {steps(least, greatest)
            .filter((value) => value >= least && value <= greatest)
            .map((value) => (
              <g key={value}>
                <line x1={LEFT} x2={width - RIGHT} y1={y(value)} y2={y(value)} className={styles.rule} />
                <text x={LEFT - 6} y={y(value) + 4} textAnchor="end" className={styles.tick}>
                  {shortNumber(value)}
                </text>
              </g>
            ))}
          {ticks(span, Math.floor(width / 90)).map((tick) => {
            const place = LEFT + ((tick.at - span.from) / (span.to - span.from || 1)) * (width - LEFT - RIGHT);
            return (
              <text key={tick.at} x={place} y={HEIGHT - 6} textAnchor="middle" className={styles.tick}>
                {tick.label}
              </text>
            );
          })}
          <polyline points={points.map((each) => `${x(each)},${y(each.value)}`).join(" ")} className={styles.line} />
          {points.map((point, index) => (
            // biome-ignore lint/a11y/noStaticElementInteractions: the keyboard reaches the points by the arrows of the plot
            <g
              // biome-ignore lint/suspicious/noArrayIndexKey: the parts of one observation share its id
              key={index}
              className={`${styles.point} ${point.flagged ? styles[point.flagged] : ""}`}
              onPointerEnter={() => go(index)}
              onClick={() => source.pin([point.id])}
            >
              <Mark point={point} x={x(point)} y={y(point.value)} />
              {index === at && <circle cx={x(point)} cy={y(point.value)} r={9} className={styles.ring} />}
              <circle cx={x(point)} cy={y(point.value)} r={8} className={styles.target} />
            </g>
          ))}
        </svg>
      </div>
      <p className={styles.readout} aria-live="polite">
        {current ? pointWords(current) : ""}
      </p>
    </div>
  );
}

/** Above its range a triangle that points up, below it one that points down, else a dot: told without colour. */
function Mark({ point, x, y }: { point: TrendPoint; x: number; y: number }) {
  const lies = side(point);
  if (lies !== 0)
    return (
      <path
        d={`M${x - 4.5} ${y + lies * 3.5}L${x + 4.5} ${y + lies * 3.5}L${x} ${y - lies * 4.5}Z`}
        className={styles.outside}
      />
    );
  return <circle cx={x} cy={y} r={3} className={styles.dot} />;
}

/** Return a result in words, as a screen reader says it. */
export function pointWords(point: TrendPoint): string {
  const lies = side(point);
  return [
    `${moment(point.at)}: ${point.shown}`,
    point.flag || (lies > 0 ? "above its range" : lies < 0 ? "below its range" : ""),
    point.status !== "final" && point.status,
    point.flagged && "a flag rests on it",
  ]
    .filter(Boolean)
    .join(", ");
}
