import { describe, expect, it } from "vitest";
import type { Measured, NewMeasurement } from "../../api/types";
import { Measurements } from "./measurements";

globalThis.requestAnimationFrame ??= (run) => setTimeout(() => run(0), 0) as unknown as number;

const body = (value: number): NewMeasurement => ({
  image: "1",
  frame: 1,
  name: "Length",
  value,
  unit: "mm",
  calibration: "calibrated",
  points: [
    [0, 0],
    [value, 0],
  ],
});

/** A server that keeps what it is given, and a page that hands its list back. */
function house() {
  const kept: Measured[] = [];
  const measurements = new Measurements();
  let next = 1;
  let away = false;
  const keeper = {
    onMeasure: async (each: NewMeasurement) => {
      if (away) throw new Error("The server cannot be reached.");
      const made = { ...each, id: next++, login: "reader", at: "" };
      kept.push(made);
      return made;
    },
    onRemoveMeasurement: async (id: number) => {
      kept.splice(
        kept.findIndex((each) => each.id === id),
        1,
      );
    },
  };
  const page = () => measurements.take([...kept], keeper);
  page();
  return { kept, measurements, page, setAway: (value: boolean) => (away = value) };
}
const settled = () => new Promise((done) => setTimeout(done, 0));

describe("a reader's measurements", () => {
  it("are saved at once and shown once, before and after the page has the server's list", async () => {
    const { kept, measurements, page } = house();
    const saving = measurements.add(body(5));
    expect(measurements.shown).toHaveLength(1);
    expect(measurements.shown[0]?.pending?.state).toBe("saving");
    await saving;
    expect(kept).toHaveLength(1);
    expect(measurements.shown).toHaveLength(1);
    page();
    expect(measurements.shown.map(({ key }) => key)).toEqual(["1"]);
    expect(measurements.chosen).toBe("1");
  });
  it("stay on the image when they could not be saved, and are saved by another try", async () => {
    const { kept, measurements, page, setAway } = house();
    setAway(true);
    await measurements.add(body(5));
    const [failed] = measurements.shown;
    expect(failed?.pending).toMatchObject({ state: "failed", problem: "The server cannot be reached." });
    page();
    expect(measurements.shown).toHaveLength(1);
    setAway(false);
    await measurements.again(failed?.pending?.local ?? 0);
    page();
    expect(kept).toHaveLength(1);
    expect(measurements.shown).toHaveLength(1);
  });
  it("are undone and done again, additions, removals and moves alike", async () => {
    const { kept, measurements, page } = house();
    await measurements.add(body(5));
    page();
    await measurements.replace("1", body(9));
    page();
    expect(kept.map(({ value }) => value)).toEqual([9]);
    measurements.undo();
    await settled();
    page();
    expect(kept.map(({ value }) => value)).toEqual([5]);
    measurements.undo();
    await settled();
    page();
    expect(kept).toHaveLength(0);
    measurements.redo();
    await settled();
    measurements.redo();
    await settled();
    page();
    expect(kept.map(({ value }) => value)).toEqual([9]);
  });
  it("keep the old one when a moved one cannot be saved", async () => {
    const { kept, measurements, page, setAway } = house();
    await measurements.add(body(5));
    page();
    setAway(true);
    await measurements.replace("1", body(9));
    expect(kept.map(({ value }) => value)).toEqual([5]);
    expect(measurements.shown.some(({ body: { value } }) => value === 5)).toBe(true);
  });
  it("are not drawn by one who may not", async () => {
    const measurements = new Measurements();
    measurements.take([], {});
    expect(measurements.writable).toBe(false);
    await expect(measurements.add(body(1))).resolves.toBeNull();
    expect(measurements.shown).toHaveLength(0);
  });
});
