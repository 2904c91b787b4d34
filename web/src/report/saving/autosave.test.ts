// @vitest-environment node
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Saved, Sections } from "../../api/types";
import { emptySections } from "../text/sections";
import { Autosave, SaveFailure, type SaveStatus } from "./autosave";

const made = (findings: string): Sections => ({ ...emptySections(), findings });

/** A server that keeps texts as the real one does: by their base. */
class Server {
  newest = 1;
  author = "ana";
  texts: { sections: Sections; base: number; number: number | null }[] = [];
  failing: SaveFailure | null = null;
  slow: Promise<void> | null = null;
  put = async (sections: Sections, base: number): Promise<Saved> => {
    if (this.slow) await this.slow;
    if (this.failing) throw this.failing;
    const fits = base === this.newest;
    if (fits) this.newest += 1;
    this.texts.push({ sections, base, number: fits ? this.newest : null });
    return { number: fits ? this.newest : null, newest: this.newest, author: this.author };
  };
}

describe("autosave", () => {
  let server: Server;
  let text: Sections;
  let told: SaveStatus[];
  let autosave: Autosave;
  const write = (findings: string) => {
    text = made(findings);
    autosave.changed();
  };
  beforeEach(() => {
    vi.useFakeTimers();
    server = new Server();
    text = made("One.");
    told = [];
    autosave = new Autosave(
      { put: server.put, read: () => text, tell: (status) => told.push(status), delay: 1000 },
      text,
      1,
    );
  });
  afterEach(() => vi.useRealTimers());

  it("saves in between where the reader never pauses", async () => {
    for (let second = 0; second < 6; second += 1) {
      write("a".repeat(second + 1));
      await vi.advanceTimersByTimeAsync(900);
    }
    expect(server.texts.map((each) => each.sections.findings.length)).toEqual([6]);
  });
  it("saves once when the reader pauses, each time on the text before", async () => {
    for (const each of ["a", "ab", "abc"]) {
      write(each);
      await vi.advanceTimersByTimeAsync(500);
    }
    expect(server.texts).toEqual([]);
    await vi.advanceTimersByTimeAsync(600);
    write("abcd");
    await vi.advanceTimersByTimeAsync(1000);
    expect(server.texts.map((each) => [each.sections.findings, each.base])).toEqual([
      ["abc", 1],
      ["abcd", 2],
    ]);
    expect(autosave.current).toMatchObject({ state: "clean", base: 3, conflict: null });
  });
  it("saves nothing where the text is as it was", async () => {
    write("x");
    write("One. ");
    await vi.advanceTimersByTimeAsync(5000);
    expect(server.texts).toEqual([]);
    expect(autosave.current.state).toBe("clean");
  });
  it("saves at once when asked, and then what was written while it did", async () => {
    let go = () => {};
    server.slow = new Promise((resolve) => {
      go = resolve;
    });
    write("x");
    const flushed = autosave.flush();
    write("xy");
    expect(autosave.current.state).toBe("saving");
    go();
    server.slow = null;
    await flushed;
    expect(autosave.unsaved).toBe(true);
    await vi.advanceTimersByTimeAsync(1000);
    expect(server.texts.map((each) => each.sections.findings)).toEqual(["x", "xy"]);
  });
  it("tries again until the server is back, and loses nothing", async () => {
    server.failing = new SaveFailure("no network", true);
    write("x");
    await vi.advanceTimersByTimeAsync(1000);
    expect(autosave.current).toMatchObject({ state: "waiting", problem: "no network" });
    expect(autosave.unsaved).toBe(true);
    write("xyz");
    await vi.advanceTimersByTimeAsync(2000);
    expect(autosave.current.state).toBe("waiting");
    server.failing = null;
    await vi.advanceTimersByTimeAsync(4000);
    expect(server.texts.map((each) => each.sections.findings)).toEqual(["xyz"]);
    expect(autosave.current).toMatchObject({ state: "clean", problem: "" });
  });
  it("says why it was refused, and tries again with the next change", async () => {
    server.failing = new SaveFailure("you are no reader", false);
    write("x");
    await vi.advanceTimersByTimeAsync(60000);
    expect(autosave.current).toMatchObject({ state: "refused", problem: "you are no reader" });
    server.failing = null;
    write("xy");
    await vi.advanceTimersByTimeAsync(1000);
    expect(server.texts).toHaveLength(1);
  });
  it("says that another text came first, keeps mine beside it, and goes on after they were put together", async () => {
    server.newest = 2;
    server.author = "bo";
    write("mine");
    await vi.advanceTimersByTimeAsync(1000);
    expect(server.texts).toEqual([{ sections: made("mine"), base: 1, number: null }]);
    expect(autosave.current).toMatchObject({ base: 1, conflict: { newest: 2, author: "bo" } });
    text = made("mine and theirs");
    autosave.settle(2, made("theirs"));
    await vi.advanceTimersByTimeAsync(1000);
    expect(server.texts[1]).toEqual({ sections: made("mine and theirs"), base: 2, number: 3 });
    expect(autosave.current).toMatchObject({ state: "clean", base: 3, conflict: null });
  });
  it("waits for a draft that streams in, and is made from it then", async () => {
    autosave.hold();
    write("half a dra");
    await vi.advanceTimersByTimeAsync(60000);
    expect(server.texts).toEqual([]);
    expect(autosave.current.state).toBe("held");
    server.newest = 5;
    text = made("a whole draft");
    autosave.release({ sections: made("a whole draft"), base: 5 });
    expect(autosave.current).toMatchObject({ state: "clean", base: 5 });
    write("a whole draft, changed");
    await vi.advanceTimersByTimeAsync(1000);
    expect(server.texts.map((each) => each.base)).toEqual([5]);
  });
});
