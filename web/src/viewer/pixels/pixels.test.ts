import { describe, expect, it } from "vitest";
import type { ImageInfo } from "../../api/types";
import { runs, trackRows } from "../panes/track";
import { paint } from "../surface/paint";
import { Frames } from "./frames";
import { keyOf, Refused } from "./images";
import { outward, plan } from "./order";

const frame = (uid: string, over: Partial<ImageInfo> = {}) =>
  ({ uid, frame: 1, rows: 2, columns: 2, samples: 1, dtype: "int16", problem: "", ...over }) as ImageInfo;
const stack = (count: number, name = "s") => Array.from({ length: count }, (_, i) => frame(`${name}.${i}`));
const settled = () => new Promise((done) => setTimeout(done, 0));

describe("the order of loading", () => {
  it("goes from the shown image outward and reaches each once", () => {
    expect([...outward(5, 3)]).toEqual([3, 4, 2, 1, 0]);
    expect([...outward(3, 99)]).toEqual([2, 1, 0]);
    expect([...outward(0, 0)]).toEqual([]);
  });
  it("takes the shown image of every pane before any neighbour", () => {
    const order = plan(
      [
        { keys: ["a0", "a1", "a2"], index: 1, bytes: [1, 1, 1] },
        { keys: ["b0", "b1"], index: 0, bytes: [1, 1] },
      ],
      100,
    );
    expect(order.slice(0, 2)).toEqual(["a1", "b0"]);
    expect([...order].sort()).toEqual(["a0", "a1", "a2", "b0", "b1"]);
  });
  it("keeps within the budget, with the nearest images", () => {
    const keys = Array.from({ length: 100 }, (_, i) => `k${i}`);
    const order = plan([{ keys, index: 50, bytes: keys.map(() => 10) }], 50);
    expect(order).toEqual(["k50", "k51", "k49", "k52", "k48"]);
  });
});

describe("the store of pixels", () => {
  const bytes = () => new Int16Array([1, 2, 3, 4]).buffer;
  it("loads all with bounded requests, and lets go of what no pane wants", async () => {
    let [now, most] = [0, 0];
    const store = new Frames(1000, 3, async () => {
      most = Math.max(most, ++now);
      await settled();
      now--;
      return bytes();
    });
    const images = stack(10);
    store.want([{ images, index: 4 }]);
    await Promise.all(images.map((image) => store.loaded(image)));
    expect(most).toBe(3);
    expect(store.bytes).toBe(80);
    const dropped: string[] = [];
    store.onDropped = (key) => dropped.push(key);
    store.want([{ images: stack(1, "other"), index: 0 }]);
    expect(store.bytes).toBe(0);
    expect(dropped).toContain(keyOf(images[0]));
  });
  it("never holds more than its budget", async () => {
    const store = new Frames(24, 6, async () => bytes());
    const images = stack(10);
    store.want([{ images, index: 0 }]);
    await Promise.all(images.slice(0, 3).map((image) => store.loaded(image)));
    await settled();
    expect(store.bytes).toBe(24);
    store.want([{ images, index: 9 }]);
    await Promise.all(images.slice(7).map((image) => store.loaded(image)));
    expect(store.bytes).toBe(24);
    expect(store.state(images[0])).toBe("absent");
  });
  it("tries twice, then says in place what was wrong, and loads on request", async () => {
    let calls = 0;
    let broken = true;
    const store = new Frames(
      1000,
      2,
      async () => {
        calls++;
        if (broken) throw new Refused(500, "The file is damaged.");
        return bytes();
      },
      async () => {},
    );
    const [image] = stack(1);
    store.want([{ images: [image], index: 0 }]);
    await expect(store.loaded(image)).rejects.toThrow("The file is damaged.");
    expect(calls).toBe(2);
    expect(store.state(image)).toBe("failed");
    store.want([{ images: [image], index: 0 }]);
    await settled();
    expect(calls).toBe(2);
    broken = false;
    store.retry(image);
    await expect(store.loaded(image)).resolves.toEqual(new Int16Array([1, 2, 3, 4]));
    expect(store.problem(image)).toBe("");
  });
  it("asks once only where asking again cannot help, and never for what cannot be shown", async () => {
    const asked: string[] = [];
    const store = new Frames(1000, 2, async ({ uid }) => {
      asked.push(uid);
      throw new Refused(404, "There is no such image.");
    });
    const unfit = frame("unfit", { problem: "MPEG-4 is not decoded." });
    const [image] = stack(1);
    store.want([{ images: [image, unfit], index: 0 }]);
    await expect(store.loaded(image)).rejects.toThrow();
    expect(asked).toEqual([image.uid]);
    expect(store.problem(unfit)).toBe("MPEG-4 is not decoded.");
  });
  it("keeps nothing that comes after its study was left", async () => {
    let give: (value: ArrayBuffer) => void = () => {};
    const store = new Frames(1000, 1, () => new Promise((resolve) => (give = resolve)));
    const [image] = stack(1);
    store.want([{ images: [image], index: 0 }]);
    store.want([]);
    give(bytes());
    await settled();
    expect(store.bytes).toBe(0);
    expect(store.state(image)).toBe("absent");
  });
});

describe("the track", () => {
  const mark = (state: "absent" | "loading" | "loaded" | "failed", seen = false) => ({ state, seen });
  it("never hides a missing image among a thousand others", () => {
    const states = Array.from({ length: 1000 }, (_, i) => mark(i === 503 ? "failed" : "loaded", true));
    const rows = trackRows(states, 100);
    expect(rows.filter((each) => each === "failed")).toHaveLength(1);
    expect(rows[50]).toBe("failed");
  });
  it("calls a row seen only when all of its images were seen", () => {
    expect(trackRows([mark("loaded", true), mark("loaded")], 1)).toEqual(["loaded"]);
    expect(trackRows([mark("loaded"), mark("absent")], 4)).toEqual(["loaded", "loaded", "absent", "absent"]);
    expect(runs(["seen", "seen", "failed"])).toEqual([
      { mark: "seen", from: 0, to: 2 },
      { mark: "failed", from: 2, to: 3 },
    ]);
  });
});

describe("painting", () => {
  const greys = (out: Uint32Array) => [...out].map((value) => value & 255);
  it("windows signed values, and inverts", () => {
    const out = new Uint32Array(4);
    const values = new Int16Array([-1024, 40, 3000, -160]);
    const window = { center: 40, width: 400 };
    paint(out, frame("a"), values, window, false);
    expect(greys(out)).toEqual([0, 128, 255, 0]);
    paint(out, frame("a"), values, window, true);
    expect(greys(out)).toEqual([255, 127, 0, 255]);
  });
  it("windows float values exactly, and colours by channel", () => {
    const out = new Uint32Array(2);
    paint(out, frame("a", { dtype: "float32" }), new Float32Array([0, 5]), { center: 5, width: 10 }, false);
    expect(greys(out)).toEqual([0, 127]);
    paint(
      out,
      frame("a", { samples: 3, dtype: "uint8" }),
      new Uint8Array([10, 20, 30, 255, 0, 0]),
      { center: 127.5, width: 255 },
      false,
    );
    expect([out[0] & 255, (out[0] >> 8) & 255, (out[0] >> 16) & 255, out[0] >>> 24]).toEqual([10, 20, 30, 255]);
  });
});
