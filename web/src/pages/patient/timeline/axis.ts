/** A span of the axis, in milliseconds. */
export interface Span {
  from: number;
  to: number;
}

const HOUR = 3_600_000;
const LEAST = HOUR;

/** Return a span zoomed by a factor about its middle or a place (0 to 1), within the whole and not below an hour. */
export function zoomed(span: Span, factor: number, whole: Span, place = 0.5): Span {
  const length = Math.max(LEAST, Math.min((span.to - span.from) * factor, whole.to - whole.from || LEAST));
  const pivot = span.from + (span.to - span.from) * place;
  return within({ from: pivot - length * place, to: pivot + length * (1 - place) }, whole);
}

/** Return a span moved by a share of its length, within the whole. */
export function moved(span: Span, share: number, whole: Span): Span {
  const by = (span.to - span.from) * share;
  return within({ from: span.from + by, to: span.to + by }, whole);
}

function within(span: Span, whole: Span): Span {
  const length = Math.min(span.to - span.from, Math.max(whole.to - whole.from, LEAST));
  const from = Math.min(Math.max(span.from, whole.from), Math.max(whole.to - length, whole.from));
  return { from, to: from + length };
}

const STEPS: [number, (date: Date) => string][] = [
  [HOUR, (date) => clock(date)],
  [3 * HOUR, (date) => clock(date)],
  [6 * HOUR, (date) => `${monthDay(date)} ${clock(date)}`],
  [12 * HOUR, (date) => `${monthDay(date)} ${clock(date)}`],
  [24 * HOUR, (date) => monthDay(date)],
  [7 * 24 * HOUR, (date) => monthDay(date)],
];
const two = (value: number) => String(value).padStart(2, "0");
const clock = (date: Date) => `${two(date.getHours())}:${two(date.getMinutes())}`;
const monthDay = (date: Date) => `${two(date.getMonth() + 1)}-${two(date.getDate())}`;

/** Return about `most` round places of an axis with their labels: hours, days, months or years. */
export function ticks(span: Span, most = 8): { at: number; label: string }[] {
  const length = Math.max(span.to - span.from, 1);
  const step = STEPS.find(([size]) => length / size <= most);
  const made: { at: number; label: string }[] = [];
  if (step) {
    const [size, label] = step;
    // Round in local time, as the labels are.
    const offset = new Date(span.from).getTimezoneOffset() * 60_000;
    for (let at = Math.ceil((span.from - offset) / size) * size + offset; at <= span.to; at += size)
      made.push({ at, label: label(new Date(at)) });
    return made;
  }
  const months = length / (30.44 * 24 * HOUR);
  const every = [1, 3, 6, 12, 24, 60, 120, 240].find((size) => months / size <= most) ?? 480;
  const first = new Date(span.from);
  const start = Math.floor((first.getFullYear() * 12 + first.getMonth()) / every) * every;
  for (let month = start; ; month += every) {
    const date = new Date(Math.floor(month / 12), month % 12, 1);
    if (date.getTime() > span.to) break;
    if (date.getTime() < span.from) continue;
    const label = every % 12 === 0 ? String(date.getFullYear()) : `${date.getFullYear()}-${two(date.getMonth() + 1)}`;
    made.push({ at: date.getTime(), label });
  }
  return made;
}

/** Return a span in words, to the day or the minute. */
export function spanWords(span: Span): string {
  const short = span.to - span.from < 3 * 24 * HOUR;
  const words = (at: number) => {
    const date = new Date(at);
    return `${date.getFullYear()}-${monthDay(date)}${short ? ` ${clock(date)}` : ""}`;
  };
  return `${words(span.from)} to ${words(span.to)}`;
}
