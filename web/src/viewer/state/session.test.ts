import { expect, test } from "vitest";
import type { ImageInfo } from "../../api/types";
import { carried, carry, takesSeries } from "../tools/carried";
import { Session } from "./session";

const images = (count: number, spacing: [number, number] | null, unit = "HU") =>
  Array.from({ length: count }, (_, i) => ({
    uid: `${i}`,
    frame: 1,
    rows: 100,
    columns: 100,
    samples: 1,
    unit,
    spacing,
    window: [],
    turn: null,
  })) as unknown as ImageInfo[];

/** Two panes beside one another, as if their series had come. */
function beside(spacing: [number, number] | null = [1, 1], other: [number, number] | null = [1, 1], unit = "HU") {
  const session = new Session();
  session.study = "s";
  session.layout = "1x2";
  const [one, two] = session.panes;
  Object.assign(one, { study: "s", series: "a", modality: "CT", images: images(40, spacing), width: 400, height: 400 });
  Object.assign(two, {
    study: "t",
    series: "b",
    modality: "CT",
    images: images(20, other, unit),
    width: 400,
    height: 400,
  });
  return { session, one, two };
}

test("windows go together on wish, where one window means the same on both", () => {
  const { session, one, two } = beside();
  one.setWindow({ center: 1, width: 2 });
  expect(two.window.width).not.toBe(2);
  session.setTie("window", true);
  expect(two.window).toEqual({ center: 1, width: 2 });
  two.setWindow({ center: 50, width: 300 });
  expect(one.window).toEqual({ center: 50, width: 300 });
  expect(session.isTied(two)).toBe("window linked");
  session.setTie("window", false);
  one.setWindow({ center: 9, width: 9 });
  expect(two.window).toEqual({ center: 50, width: 300 });

  const strange = beside([1, 1], [1, 1], "");
  strange.session.setTie("window", true);
  strange.one.setWindow({ center: 7, width: 7 });
  expect(strange.two.window.width).not.toBe(7);
  expect(strange.session.isTied(strange.two)).toBe("");
});

test("zoom goes together in millimetres of the patient", () => {
  const { session, one, two } = beside([1, 1], [2, 2]);
  session.setTie("view", true);
  one.setView({ ...one.view, zoom: 2, pan: [10, 5] });
  // A pixel of the other one is twice as wide: at the same zoom a millimetre would be half as long.
  expect(two.view).toEqual({ ...one.view, zoom: 4 });
  const unknown = beside(null, [2, 2]);
  unknown.session.setTie("view", true);
  unknown.one.setView({ ...unknown.one.view, zoom: 3 });
  expect(unknown.two.view.zoom).toBe(3);
});

test("a stack that comes beside begins where the other one stands", () => {
  const { session, one, two } = beside();
  one.show(39);
  two.index = 0;
  two.onOpened(true);
  expect(two.index).toBe(19);
  two.show(0, true);
  two.onOpened(false);
  expect(two.index).toBe(0);
  expect(session.pane).toBe(one);
});

test("a series is carried by its UIDs, and nothing else is taken for one", () => {
  const kept = new Map<string, string>();
  const transfer = {
    setData: (type: string, data: string) => kept.set(type, data),
    getData: (type: string) => kept.get(type) ?? "",
    get types() {
      return [...kept.keys()];
    },
  } as unknown as DataTransfer;
  expect(takesSeries(transfer)).toBe(false);
  expect(carried(transfer)).toBeNull();
  carry(transfer, { study: "1.2", series: "1.2.3" });
  expect(takesSeries(transfer)).toBe(true);
  expect(carried(transfer)).toEqual({ study: "1.2", series: "1.2.3" });
  const { session, two } = beside();
  // A series of no study that is shown here is not opened.
  session.drop(two, { study: "another", series: "1.2.3" });
  expect([two.study, session.pane.id]).toEqual(["t", 0]);
});
