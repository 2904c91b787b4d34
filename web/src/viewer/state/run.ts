import { isTool, LAYOUTS, type Layout, type Session } from "./session";

/** Does an action of `viewerActions`; false where it is not known or not possible now. */
export function run(session: Session, id: string): boolean {
  const name = id.replace(/^viewer\./, "");
  const { pane } = session;
  const within = (key: string) => name.startsWith(key) && name.slice(key.length);
  const tool = within("tool.");
  if (tool && isTool(tool)) {
    session.setTool(tool);
    return session.tool === tool;
  }
  const window = within("window.");
  if (window) {
    const preset = pane.presets[Number(window) - 1];
    if (preset) pane.setWindow({ center: preset.center, width: preset.width, shape: preset.shape });
    return preset !== undefined;
  }
  const layout = within("layout.");
  if (layout && layout in LAYOUTS) {
    session.setLayout(layout as Layout);
    return true;
  }
  const command = commands(session)[name];
  if (!command) return false;
  return command() !== false;
}

function commands(session: Session): Record<string, () => unknown> {
  const { pane, measurements } = session;
  const move = (index: number) => {
    pane.stop();
    pane.show(index);
    return pane.images.length > 1;
  };
  const toggle = (key: "evidence" | "texts" | "identity" | "othersShown") => {
    session[key] = !session[key];
    session.flush();
  };
  return {
    next: () => move(pane.index + 1),
    previous: () => move(pane.index - 1),
    "page.next": () => move(pane.index + 10),
    "page.previous": () => move(pane.index - 10),
    first: () => move(0),
    last: () => move(pane.images.length - 1),
    "series.next": () => session.stepSeries(1),
    "series.previous": () => session.stepSeries(-1),
    "zoom.in": () => pane.zoom(1.25),
    "zoom.out": () => pane.zoom(0.8),
    fit: () => session.turnView("fit"),
    actual: () => pane.actual(),
    invert: () => pane.invert(),
    rotate: () => session.turnView("rotate"),
    "flip.horizontal": () => session.turnView("flip.horizontal"),
    "flip.vertical": () => session.turnView("flip.vertical"),
    cine: () => (pane.playing ? pane.stop() : pane.play()),
    reset: () => pane.reset(),
    "pane.next": () => session.activate((session.active + 1) % session.count),
    link: () => session.setLinking(!session.linking),
    "link.window": () => session.count > 1 && session.setTie("window", !session.ties.has("window")),
    "link.view": () => session.count > 1 && session.setTie("view", !session.ties.has("view")),
    overlay: () => toggle("evidence"),
    text: () => toggle("texts"),
    identity: () => toggle("identity"),
    graphics: () => toggle("othersShown"),
    delete: () =>
      measurements.chosen !== null && measurements.writable && void measurements.remove(measurements.chosen),
    undo: () => measurements.canUndo && measurements.undo(),
    redo: () => measurements.canRedo && measurements.redo(),
  };
}
