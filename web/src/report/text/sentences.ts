/** A sentence and where it stands in its text. */
export interface Span {
  from: number;
  to: number;
  text: string;
}

/** Cut a text into sentences and lines, as the server does (`aris.tasks.text.report.sentences`): decimals stay whole. */
export function sentences(text: string): Span[] {
  const found: Span[] = [];
  const breaks = /(?<=[.!?])\s+|\n+/g;
  let start = 0;
  const add = (end: number) => {
    const piece = text.slice(start, end);
    const trimmed = piece.trim();
    if (trimmed === "") return;
    const from = start + piece.indexOf(trimmed);
    found.push({ from, to: from + trimmed.length, text: trimmed });
  };
  for (const match of text.matchAll(breaks)) {
    add(match.index);
    start = match.index + match[0].length;
  }
  add(text.length);
  return found;
}

/** A sentence without what does not change its sense: case, spaces, its full stop. */
export function sameSense(sentence: string): string {
  return sentence
    .toLowerCase()
    .replace(/[^\p{L}\p{N}%]+/gu, " ")
    .trim();
}
