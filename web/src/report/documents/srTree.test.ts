// @vitest-environment node
import { describe, expect, it } from "vitest";
import { srTree } from "./srTree";

/** Writes explicit VR little endian: as much of it as a structured report has. */
const LONG = new Set(["SQ", "UT"]);
function element(tag: number, vr: string, value: Uint8Array | string): number[] {
  let bytes = typeof value === "string" ? [...new TextEncoder().encode(value)] : [...value];
  if (bytes.length % 2) bytes = [...bytes, vr === "UI" ? 0 : 0x20];
  const size = bytes.length;
  const four = (number: number) => [number & 255, (number >> 8) & 255, (number >> 16) & 255, (number >> 24) & 255];
  const group = Math.floor(tag / 0x10000);
  const head = [group & 255, group >> 8, tag & 255, (tag >> 8) & 255, vr.charCodeAt(0), vr.charCodeAt(1)];
  return [...head, ...(LONG.has(vr) ? [0, 0, ...four(size)] : [size & 255, size >> 8]), ...bytes];
}
function sequence(tag: number, ...items: number[][]): number[] {
  const four = (number: number) => [number & 255, (number >> 8) & 255, (number >> 16) & 255, (number >> 24) & 255];
  const all = items.flatMap((each) => [0xfe, 0xff, 0x00, 0xe0, ...four(each.length), ...each]);
  return element(tag, "SQ", new Uint8Array(all));
}
/** The same with undefined lengths, as other writers do it. */
function open(tag: number, ...items: number[][]): number[] {
  const head = element(tag, "SQ", new Uint8Array(0)).slice(0, 8);
  const unknown = [255, 255, 255, 255];
  const all = items.flatMap((each) => [0xfe, 0xff, 0, 0xe0, ...unknown, ...each, 0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0]);
  return [...head, ...unknown, ...all, 0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0];
}
const named = (name: string) => sequence(0x0040a043, element(0x00080104, "LO", name));
function file(syntax: string, dataset: number[]): ArrayBuffer {
  const meta = element(0x00020010, "UI", syntax);
  const length = element(0x00020000, "UL", new Uint8Array([meta.length, 0, 0, 0]));
  return new Uint8Array([...new Array(128).fill(0), 68, 73, 67, 77, ...length, ...meta, ...dataset]).buffer;
}

describe("the tree of a structured report", () => {
  const section = [
    ...element(0x0040a010, "CS", "CONTAINS"),
    ...element(0x0040a040, "CS", "CONTAINER"),
    ...named("Findings"),
    ...open(0x0040a730, [
      ...element(0x0040a010, "CS", "CONTAINS"),
      ...element(0x0040a040, "CS", "TEXT"),
      ...named("Finding"),
      ...element(0x0040a160, "UT", "Ödem beidseits."),
    ]),
  ];
  const root = [
    ...element(0x00080005, "CS", "ISO_IR 192"),
    ...element(0x0040a040, "CS", "CONTAINER"),
    ...named("Radiology Report"),
    ...sequence(0x0040a730, section),
  ];
  it("has names, values and children, with lengths or without", () => {
    const tree = srTree(file("1.2.840.10008.1.2.1", root));
    expect(tree).toMatchObject({ type: "CONTAINER", name: "Radiology Report" });
    expect(tree.children[0]).toMatchObject({ name: "Findings", relationship: "CONTAINS" });
    expect(tree.children[0].children).toEqual([
      { relationship: "CONTAINS", type: "TEXT", name: "Finding", value: "Ödem beidseits.", children: [] },
    ]);
  });
  it("is refused where it cannot be read", () => {
    expect(() => srTree(file("1.2.840.10008.1.2.4.50", root))).toThrow("transfer syntax");
    expect(() => srTree(new ArrayBuffer(400))).toThrow("no DICOM");
  });
});
