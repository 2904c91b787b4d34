/** A run of text that both have, or only the old or the new one. */
export interface Change {
  kind: "same" | "old" | "new";
  text: string;
}

/** Words, spaces and signs of a text; joined they are the text again. */
export function tokens(text: string): string[] {
  return text.match(/\n|[^\S\n]+|[\p{L}\p{N}]+(?:[.,'’-][\p{L}\p{N}]+)*|[^\s\p{L}\p{N}]/gu) ?? [];
}

/** Pairs (index in one, index in other) of a longest common subsequence, in order. */
export function common<T>(one: readonly T[], other: readonly T[]): [number, number][] {
  let head = 0;
  while (head < one.length && head < other.length && one[head] === other[head]) head += 1;
  let tail = 0;
  const least = Math.min(one.length, other.length);
  while (tail < least - head && one[one.length - 1 - tail] === other[other.length - 1 - tail]) tail += 1;
  const pairs: [number, number][] = [];
  for (let i = 0; i < head; i += 1) pairs.push([i, i]);
  const rows = one.length - head - tail;
  const columns = other.length - head - tail;
  if (rows > 0 && columns > 0) {
    // Lengths from here to the end; texts of a report are short enough for the whole table.
    const width = columns + 1;
    const lengths = new Uint32Array((rows + 1) * width);
    for (let i = rows - 1; i >= 0; i -= 1) {
      for (let j = columns - 1; j >= 0; j -= 1) {
        lengths[i * width + j] =
          one[head + i] === other[head + j]
            ? lengths[(i + 1) * width + j + 1] + 1
            : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
      }
    }
    let i = 0;
    let j = 0;
    while (i < rows && j < columns) {
      if (one[head + i] === other[head + j]) {
        pairs.push([head + i, head + j]);
        i += 1;
        j += 1;
      } else if (lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) i += 1;
      else j += 1;
    }
  }
  for (let k = tail; k > 0; k -= 1) pairs.push([one.length - k, other.length - k]);
  return pairs;
}

/** Words that were taken out and put in, in reading order. */
export function diff(before: string, after: string): Change[] {
  const one = tokens(before);
  const other = tokens(after);
  const made: Change[] = [];
  const add = (kind: Change["kind"], text: string) => {
    if (text === "") return;
    const last = made.at(-1);
    if (last?.kind === kind) last.text += text;
    else made.push({ kind, text });
  };
  let i = 0;
  let j = 0;
  for (const [a, b] of [...common(one, other), [one.length, other.length] as [number, number]]) {
    add("old", one.slice(i, a).join(""));
    add("new", other.slice(j, b).join(""));
    if (a < one.length) add("same", one[a]);
    i = a + 1;
    j = b + 1;
  }
  return made;
}

/** Replacements (in positions of `before`) that make `after` of it, as an editor wants them. */
export function replacements(before: string, after: string): { from: number; to: number; insert: string }[] {
  const made: { from: number; to: number; insert: string }[] = [];
  let at = 0;
  let open: { from: number; to: number; insert: string } | null = null;
  for (const change of diff(before, after)) {
    if (change.kind === "same") {
      open = null;
      at += change.text.length;
      continue;
    }
    if (open === null) {
      open = { from: at, to: at, insert: "" };
      made.push(open);
    }
    if (change.kind === "old") {
      at += change.text.length;
      open.to = at;
    } else open.insert += change.text;
  }
  return made;
}
