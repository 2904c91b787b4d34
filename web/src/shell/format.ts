/** Return a DICOM person name as it is read: "Doe^Jane^^Dr" becomes "Doe, Jane". Other text stays as it is. */
export function personName(name: string): string {
  const [family = "", given = "", middle = "", prefix = ""] = (name.split("=")[0] ?? "")
    .split("^")
    .map((part) => part.trim());
  const rest = [prefix, given, middle].filter(Boolean).join(" ");
  return family && rest ? `${family}, ${rest}` : family || rest;
}

/** Return a DICOM date (20260131) or an ISO one as 2026-01-31; "" for none. */
export function day(date: string): string {
  const digits = /^(\d{4})(\d{2})(\d{2})$/.exec(date);
  return digits ? `${digits[1]}-${digits[2]}-${digits[3]}` : date.slice(0, 10);
}

/** Return a DICOM time (142530.123) as 14:25. */
export function clock(time: string): string {
  const digits = /^(\d{2}):?(\d{2})/.exec(time);
  return digits ? `${digits[1]}:${digits[2]}` : "";
}

/** Return a moment of the server (ISO) as local date and time, with `seconds` where the order of events counts. */
export function moment(iso: string | null, seconds = false): string {
  if (!iso) return "";
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return iso;
  const two = (value: number) => String(value).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}${seconds ? `:${two(date.getSeconds())}` : ""}`;
}

/** Return how long ago `iso` was at `now`: "just now", "12 min", "3 h 05", "2 d". */
export function since(iso: string, now: number): string {
  const minutes = Math.floor((now - new Date(iso).getTime()) / 60_000);
  if (Number.isNaN(minutes)) return "";
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, "0")}`;
  return `${Math.floor(hours / 24)} d`;
}

/** Return bytes as people count them: "1.4 GB". */
export function bytes(size: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = size;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit > 0 && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** Return a DICOM age (045Y, 003M) as "45 y", "3 m"; other text stays as it is. */
export function age(text: string): string {
  const known = /^0*(\d+)([YMWD])$/.exec(text);
  return known ? `${known[1]} ${(known[2] ?? "").toLowerCase()}` : text;
}

/** Return a probability in two digits, as the command line says it: never as certain. */
export function probability(value: number): string {
  if (value > 0.99) return ">0.99";
  return value < 0.01 ? "<0.01" : value.toFixed(2);
}
