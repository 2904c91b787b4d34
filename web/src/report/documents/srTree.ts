/** The content tree of a DICOM structured report, read from the file that leaves: what a receiver will find in it. */

export interface SrNode {
  relationship: string;
  type: string;
  name: string;
  value: string;
  children: SrNode[];
}

interface Element {
  tag: number;
  vr: string;
  value: Uint8Array | null;
  items: Dataset[] | null;
}
type Dataset = Map<number, Element>;

const LONG = new Set(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"]);
const UNDEFINED = 0xffffffff;
const [ITEM, ITEM_END, SEQUENCE_END] = [0xfffee000, 0xfffee00d, 0xfffee0dd];
const EXPLICIT = "1.2.840.10008.1.2.1";

/** Read elements of explicit VR, little endian. */
class Reader {
  private readonly view: DataView;
  at = 0;
  constructor(readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  private tag(): number {
    const tag = this.view.getUint16(this.at, true) * 0x10000 + this.view.getUint16(this.at + 2, true);
    this.at += 4;
    return tag;
  }
  private length(): number {
    const length = this.view.getUint32(this.at, true);
    this.at += 4;
    return length;
  }
  dataset(end: number): Dataset {
    const made: Dataset = new Map();
    while (this.at < end) {
      const tag = this.tag();
      if (tag === ITEM_END) {
        this.at += 4;
        break;
      }
      const vr = String.fromCharCode(this.bytes[this.at], this.bytes[this.at + 1]);
      let length: number;
      if (LONG.has(vr)) {
        this.at += 4;
        length = this.length();
      } else {
        length = this.view.getUint16(this.at + 2, true);
        this.at += 4;
      }
      if (vr === "SQ") made.set(tag, { tag, vr, value: null, items: this.sequence(length, end) });
      else {
        if (length === UNDEFINED) throw new Error("the file has an element without a length");
        made.set(tag, { tag, vr, value: this.bytes.subarray(this.at, this.at + length), items: null });
        this.at += length;
      }
    }
    return made;
  }
  private sequence(length: number, limit: number): Dataset[] {
    const end = length === UNDEFINED ? limit : this.at + length;
    const items: Dataset[] = [];
    while (this.at < end) {
      const tag = this.tag();
      const size = this.length();
      if (tag === SEQUENCE_END) break;
      if (tag !== ITEM) throw new Error("the file has a sequence that cannot be read");
      items.push(this.dataset(size === UNDEFINED ? end : this.at + size));
    }
    return items;
  }
}

/** Parse a structured report's file into its tree.
 *
 * Raises:
 *   Error: it is no DICOM file of explicit VR little endian, or has no content.
 */
export function srTree(file: ArrayBuffer): SrNode {
  const bytes = new Uint8Array(file);
  if (String.fromCharCode(...bytes.subarray(128, 132)) !== "DICM") throw new Error("this is no DICOM file");
  const reader = new Reader(bytes);
  reader.at = 132;
  // The group of the file's meta information has its own length.
  const start = new DataView(file).getUint32(140, true) + 144;
  const meta = reader.dataset(start);
  if (text(meta, 0x00020010) !== EXPLICIT) throw new Error("the file is in another transfer syntax");
  reader.at = start;
  const root = reader.dataset(bytes.length);
  const charset = text(root, 0x00080005).includes("192") ? "utf-8" : "iso-8859-1";
  return node(root, charset);
}

function text(dataset: Dataset, tag: number, charset = "utf-8"): string {
  const value = dataset.get(tag)?.value;
  return value ? new TextDecoder(charset).decode(value).replace(/[\0 ]+$/, "") : "";
}

function node(dataset: Dataset, charset: string): SrNode {
  const type = text(dataset, 0x0040a040);
  return {
    relationship: text(dataset, 0x0040a010),
    type,
    name: meaning(dataset.get(0x0040a043)?.items?.[0], charset),
    value: value(dataset, type, charset),
    children: (dataset.get(0x0040a730)?.items ?? []).map((each) => node(each, charset)),
  };
}

function meaning(code: Dataset | undefined, charset: string): string {
  return code ? text(code, 0x00080104, charset) : "";
}

function value(dataset: Dataset, type: string, charset: string): string {
  const first = (tag: number) => dataset.get(tag)?.items?.[0];
  switch (type) {
    case "TEXT":
      return text(dataset, 0x0040a160, charset);
    case "CODE":
      return meaning(first(0x0040a168), charset);
    case "PNAME":
      return text(dataset, 0x0040a123, charset).replace(/\^+/g, " ").trim();
    case "DATE":
      return text(dataset, 0x0040a121);
    case "TIME":
      return text(dataset, 0x0040a122);
    case "DATETIME":
      return text(dataset, 0x0040a120);
    case "UIDREF":
      return text(dataset, 0x0040a124);
    case "NUM": {
      const measured = first(0x0040a300);
      if (!measured) return "";
      const unit = measured.get(0x004008ea)?.items?.[0];
      return `${text(measured, 0x0040a30a)} ${unit ? text(unit, 0x00080100) : ""}`.trim();
    }
    case "IMAGE":
    case "COMPOSITE":
      return text(first(0x00081199) ?? new Map(), 0x00081155);
    case "SCOORD":
      return `${text(dataset, 0x00700023)} ${floats(dataset.get(0x00700022)?.value ?? null)}`.trim();
    default:
      return "";
  }
}

function floats(bytes: Uint8Array | null): string {
  if (bytes === null) return "";
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: Math.floor(bytes.byteLength / 4) }, (_, index) =>
    String(Math.round(view.getFloat32(index * 4, true) * 10) / 10),
  ).join(", ");
}
