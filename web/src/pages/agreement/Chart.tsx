import styles from "./Agreement.module.css";
import { type Line, months, percent } from "./figures";

const WIDTH = 1100;
const HEIGHT = 240;
const LEFT = 52;
const RIGHT = 36;
const TOP = 12;
const BOTTOM = 30;
// A line is told by its dashes and its marks, not by its colour alone.
const DASHES = ["", "7 4", "2 4", "9 3 2 3"];

/** The share of accepted statements over the months; the table below holds the same figures. */
export function Chart({ lines }: { lines: Line[] }) {
  const all = months(lines);
  if (all.length === 0) return null;
  const x = (month: string) =>
    LEFT + (all.length === 1 ? 0.5 : all.indexOf(month) / (all.length - 1)) * (WIDTH - LEFT - RIGHT);
  const y = (share: number) => TOP + (1 - share) * (HEIGHT - TOP - BOTTOM);
  const step = Math.ceil(all.length / 12);
  const latest = lines.map((line) => `${line.model} ${percent(line.points.at(-1)?.agreed ?? null)}`).join(", ");
  return (
    <figure className={styles.figure}>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} className={styles.chart} role="img" aria-labelledby="agreement-chart">
        <title id="agreement-chart">{`Share of the models' statements that readers accepted, by month. Latest: ${latest}.`}</title>
        {[0, 0.25, 0.5, 0.75, 1].map((share) => (
          <g key={share}>
            <line x1={LEFT} x2={WIDTH - RIGHT} y1={y(share)} y2={y(share)} className={styles.rule} />
            <text x={LEFT - 8} y={y(share) + 4} textAnchor="end" className={styles.tick}>
              {Math.round(share * 100)} %
            </text>
          </g>
        ))}
        {all
          .filter((_, index) => index % step === 0)
          .map((month) => (
            <text key={month} x={x(month)} y={HEIGHT - 8} textAnchor="middle" className={styles.tick}>
              {month}
            </text>
          ))}
        {lines.map((line, index) => {
          const known = line.points.filter((point) => point.agreed !== null);
          return (
            <g key={line.model} className={styles[`series${index % 4}`]}>
              <polyline
                points={known.map((point) => `${x(point.month)},${y(point.agreed ?? 0)}`).join(" ")}
                strokeDasharray={DASHES[index % DASHES.length]}
                className={styles.line}
              />
              {known.map((point) => (
                <circle key={point.month} cx={x(point.month)} cy={y(point.agreed ?? 0)} r={4} className={styles.dot}>
                  <title>{`${line.model}, ${point.month}: ${percent(point.agreed)}`}</title>
                </circle>
              ))}
            </g>
          );
        })}
      </svg>
      <figcaption className={styles.legend}>
        {lines.map((line, index) => (
          <span key={line.model} className={styles[`series${index % 4}`]}>
            <svg width="34" height="10" aria-hidden="true">
              <line
                x1="0"
                x2="34"
                y1="5"
                y2="5"
                strokeDasharray={DASHES[index % DASHES.length]}
                className={styles.line}
              />
            </svg>
            <span className={styles.name}>{line.model}</span>
          </span>
        ))}
      </figcaption>
    </figure>
  );
}
