/** A field that a template left open, as "[size]". */
export interface Field {
  from: number;
  to: number;
}

const FIELD = /\[[^[\]\n]{0,80}\]/g;

/** Fields in a text, in order. */
export function fields(text: string): Field[] {
  return [...text.matchAll(FIELD)].map((match) => ({ from: match.index, to: match.index + match[0].length }));
}

/** The next field after a selection (or before it), around the end; null where the text has none. */
export function nextField(text: string, from: number, to: number, backwards = false): Field | null {
  const all = fields(text);
  if (all.length === 0) return null;
  const isHere = (each: Field) => each.from === from && each.to === to;
  if (backwards) return all.filter((each) => each.to <= from && !isHere(each)).at(-1) ?? all.at(-1) ?? null;
  const start = all.some(isHere) ? to : from;
  return all.find((each) => each.from >= start && !isHere(each)) ?? all[0];
}
