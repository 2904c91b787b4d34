/** Key chords are written "Ctrl+Shift+F", "Alt+1", "Enter", "?". Ctrl stands for the command key on a Mac too. */

const NAMED: Record<string, string> = { " ": "Space", Esc: "Escape", Del: "Delete", Spacebar: "Space" };
const MODIFIERS = new Set(["Control", "Shift", "Alt", "Meta", "AltGraph", "CapsLock", "Dead", "Process"]);

type Pressed = Pick<KeyboardEvent, "key" | "code" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey">;

/** Return the chord of a key event, "" for a modifier alone. */
export function chordOf(event: Pressed): string {
  if (MODIFIERS.has(event.key)) return "";
  let key = NAMED[event.key] ?? event.key;
  const printable = key.length === 1;
  const letter = printable && key.toLowerCase() !== key.toUpperCase();
  // With Alt or Ctrl some layouts put another sign there: the digit or letter that is printed on the key counts.
  if (printable && (event.ctrlKey || event.altKey || event.metaKey)) {
    const plain = /^(?:Key([A-Z])|Digit(\d))$/.exec(event.code);
    if (plain && !letter) key = plain[1] ?? plain[2] ?? key;
  }
  if (key.length === 1) key = key.toUpperCase();
  const parts: string[] = [];
  if (event.ctrlKey || event.metaKey) parts.push("Ctrl");
  if (event.altKey) parts.push("Alt");
  // "?" is already the shifted sign; Shift is said only with letters and named keys.
  if (event.shiftKey && (!printable || letter)) parts.push("Shift");
  return [...parts, key].join("+");
}

/** Return a chord as written by a person in the one spelling; "" if it is none. */
export function spell(text: string): string {
  const parts = text
    .trim()
    .split(/\+(?=.)/)
    .map((part) => part.trim());
  let key = parts.pop() ?? "";
  const held = new Set(parts.map((part) => part.toLowerCase()));
  for (const part of held) if (!["ctrl", "control", "cmd", "meta", "alt", "shift"].includes(part)) return "";
  key = NAMED[key] ?? (key.length === 1 ? key.toUpperCase() : key.charAt(0).toUpperCase() + key.slice(1));
  if (!key) return "";
  const ctrl = ["ctrl", "control", "cmd", "meta"].some((name) => held.has(name));
  return [ctrl && "Ctrl", held.has("alt") && "Alt", held.has("shift") && "Shift", key].filter(Boolean).join("+");
}

/** Return whether a chord may act while text is written: one with Ctrl or Alt, or a function key. */
export function worksInText(chord: string): boolean {
  return /^(Ctrl|Alt)\+/.test(chord) || /^(Shift\+)?F\d{1,2}$/.test(chord);
}

const SHOWN: Record<string, string> = {
  ArrowUp: "↑",
  ArrowDown: "↓",
  ArrowLeft: "←",
  ArrowRight: "→",
  Escape: "Esc",
  PageUp: "PgUp",
  PageDown: "PgDn",
};

/** Return the keys of a chord as they are printed on a keyboard. */
export function shown(chord: string): string[] {
  if (!chord) return [];
  const parts = chord.split(/\+(?=.)/);
  return parts.map((part) => SHOWN[part] ?? part);
}

/** Keys that the browser keeps for itself. */
export const RESERVED = new Set([
  "Ctrl+W",
  "Ctrl+T",
  "Ctrl+N",
  "Ctrl+Shift+W",
  "Ctrl+Shift+N",
  "Ctrl+Tab",
  "Tab",
  "Shift+Tab",
]);
