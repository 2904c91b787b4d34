import { cleanup, render } from "@testing-library/react";
import { afterEach, expect, test, vi } from "vitest";
import { chordOf, shown, spell, worksInText } from "./chord";
import { listen } from "./dispatch";
import { mouseTools } from "./mouse";
import { type Action, bind, CATALOGUE, chordsOf, conflicts, offered, perform, useActions } from "./registry";

const pressed = (key: string, more: Partial<KeyboardEvent> = {}) =>
  chordOf({ key, code: "", ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...more });

afterEach(() => {
  cleanup();
  document.body.innerHTML = "";
});

function Page({ run }: { run: () => void }) {
  useActions({ "worklist.refresh": run, "worklist.upload": false });
  return null;
}

test("keys are spelled in one way", () => {
  expect(pressed("i")).toBe("I");
  expect(pressed("I", { shiftKey: true })).toBe("Shift+I");
  expect(pressed("?", { shiftKey: true })).toBe("?");
  expect(pressed("Enter", { ctrlKey: true })).toBe("Ctrl+Enter");
  expect(pressed("k", { metaKey: true })).toBe("Ctrl+K");
  expect(pressed(" ")).toBe("Space");
  expect(pressed("+", { ctrlKey: true })).toBe("Ctrl++");
  expect(pressed("Control", { ctrlKey: true })).toBe("");
  // Alt puts another sign there: the key that is printed counts.
  expect(pressed("@", { altKey: true, code: "KeyL" })).toBe("Alt+L");
  expect(["ctrl+k", "Cmd+Shift+f", "alt+1", "Ctrl++", "esc", "hyper+x"].map(spell)).toEqual([
    "Ctrl+K",
    "Ctrl+Shift+F",
    "Alt+1",
    "Ctrl++",
    "Esc",
    "",
  ]);
  expect(shown("Ctrl++")).toEqual(["Ctrl", "+"]);
  expect(["Ctrl+A", "F5", "A", "Shift+A"].map(worksInText)).toEqual([true, true, false, false]);
});

test("a user's key takes the place of the default, and none is none", () => {
  const action: Action = { id: "x", title: "X", context: "viewer", keys: ["I", "Ctrl+I"] };
  expect(chordsOf(action)).toEqual(["I", "Ctrl+I"]);
  expect(chordsOf(action, { x: "ctrl+j" })).toEqual(["Ctrl+J"]);
  expect(chordsOf(action, { x: "" })).toEqual([]);
});

test("two actions that meet at one place with one key are a conflict, those of different pages are not", () => {
  const make = (id: string, context: Action["context"], ...keys: string[]): Action => ({
    id,
    title: id,
    context,
    keys,
  });
  const all = [
    make("a", "viewer", "N"),
    make("b", "study", "N"),
    make("c", "worklist", "N"),
    make("d", "anywhere", "Q"),
  ];
  expect(conflicts({}, all)).toEqual(
    new Map([
      ["a", ["b"]],
      ["b", ["a"]],
    ]),
  );
  expect(conflicts({ b: "M" }, all).size).toBe(0);
  // The focus says whether images or text are meant.
  const undo = [make("v", "viewer", "Ctrl+Z"), make("t", "editor", "Ctrl+Z")];
  expect(conflicts({}, undo).size).toBe(0);
  expect([...conflicts({}, [...undo, make("s", "study", "Ctrl+Z")]).keys()].sort()).toEqual(["s", "t", "v"]);
  expect([...conflicts({ b: "M", d: "n" }, all).keys()].sort()).toEqual(["a", "c", "d"]);
});

test("the actions as shipped have one home each, titles, and no conflict", () => {
  for (const action of CATALOGUE.values()) {
    expect(action.title, action.id).toMatch(/^[A-Z]/);
    for (const chord of action.keys) expect(chord, action.id).not.toBe("");
  }
  expect([...conflicts()]).toEqual([]);
});

test("an action is offered while its component is shown, and runs the newest function", () => {
  const first = vi.fn();
  const second = vi.fn();
  const view = render(<Page run={first} />);
  view.rerender(<Page run={second} />);
  expect(perform("worklist.refresh")).toBe(true);
  expect(first).not.toHaveBeenCalled();
  expect(second).toHaveBeenCalledOnce();
  expect(offered("worklist.upload")).toBe(false);
  view.unmount();
  expect(perform("worklist.refresh")).toBe(false);
  expect(() => bind("no.such", () => undefined)).toThrow(/catalogue/);
});

test("plain keys never act while text is written or a dialog is open; Ctrl chords act in text, not under a dialog", () => {
  const refresh = vi.fn();
  const palette = vi.fn();
  const undo = [bind("worklist.refresh", refresh), bind("palette", palette), listen(() => ({}))];
  document.body.innerHTML = '<input id="i"><button id="b"></button><div id="d"></div>';
  const press = (id: string, key: string, more: KeyboardEventInit = {}) =>
    document
      .getElementById(id)
      ?.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));
  press("i", "r");
  expect(refresh).not.toHaveBeenCalled();
  press("i", "k", { ctrlKey: true });
  expect(palette).toHaveBeenCalledOnce();
  press("d", "r");
  press("b", "r");
  expect(refresh).toHaveBeenCalledTimes(2);
  press("d", "r", { repeat: true });
  expect(refresh).toHaveBeenCalledTimes(2);
  document.getElementById("d")?.setAttribute("data-aris-modal", "");
  press("i", "k", { ctrlKey: true });
  press("b", "r");
  expect(palette).toHaveBeenCalledOnce();
  expect(refresh).toHaveBeenCalledTimes(2);
  for (const one of undo) one();
});

test("a user's own key acts and the default does not any more", () => {
  const refresh = vi.fn();
  const undo = [bind("worklist.refresh", refresh), listen(() => ({ "worklist.refresh": "F7" }))];
  window.dispatchEvent(new KeyboardEvent("keydown", { key: "r" }));
  expect(refresh).not.toHaveBeenCalled();
  window.dispatchEvent(new KeyboardEvent("keydown", { key: "F7" }));
  expect(refresh).toHaveBeenCalledOnce();
  for (const one of undo) one();
});

test("an unknown tool of the mouse falls back to the default", () => {
  expect(mouseTools({ primary: "pan", secondary: "laser", wheel: "length" })).toEqual({
    primary: "pan",
    secondary: "zoom",
    auxiliary: "pan",
    wheel: "scroll",
  });
});
