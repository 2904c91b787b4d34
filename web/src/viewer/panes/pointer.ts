import { apply, invert, type Point } from "../geometry/affine";
import { dragged, type Window } from "../geometry/window";
import { isKind } from "../marks/kinds";
import type { Pane } from "../state/pane";
import type { Session, Tool } from "../state/session";
import type { View } from "../surface/view";

/** Where the pointer holds the magnifying glass or the probe. */
export interface Hover {
  screen: Point;
  image: Point;
}

const BUTTONS: Record<number, "primary" | "auxiliary" | "secondary"> = { 0: "primary", 1: "auxiliary", 2: "secondary" };

/** What a drag began with. */
interface Drag {
  tool: Tool;
  from: Point;
  view: View;
  window: Window;
  index: number;
  range: number;
}

/** The mouse over one pane: each button's tool, from a press to its release. */
export class PanePointer {
  private drag: Drag | null = null;
  private wheelLeft = 0;
  constructor(
    private readonly session: Session,
    private readonly pane: Pane,
    private readonly onMagnify: (hover: Hover | null) => void,
  ) {}

  toImage(screen: Point): Point | null {
    const back = this.pane.scene && invert(this.pane.affine);
    return back ? apply(back, screen) : null;
  }

  down(button: number, at: Point): void {
    this.session.activate(this.pane.id);
    const which = BUTTONS[button];
    if (!which || !this.pane.image) return;
    if (which === "secondary" && this.session.cancelDrawing()) return;
    const tool = which === "primary" ? this.session.tool : this.session.mouse[which];
    const { view, window, index, image } = this.pane;
    const range = Math.abs((image?.greatest ?? 0) - (image?.least ?? 0)) || window.width * 2;
    this.drag = { tool, from: at, view, window, index, range: Math.min(range, 4000) };
    const place = this.toImage(at);
    if (isKind(tool) && place && this.session.measurements.writable) this.session.drawPress(this.pane, tool, place);
    else if (tool === "magnify" && place) this.onMagnify({ screen: at, image: place });
    if (!isKind(tool)) this.session.measurements.choose(null);
  }

  move(at: Point): void {
    const place = this.toImage(at);
    if (this.session.draft && this.session.drawingIn === this.pane.id && place) {
      this.session.drawMove(place);
      return;
    }
    if (!this.drag) return;
    const { tool, from, view, window, index, range } = this.drag;
    const [dx, dy] = [at[0] - from[0], at[1] - from[1]];
    const { pane } = this;
    if (tool === "window") pane.setWindow(dragged(window, dx, dy, range));
    else if (tool === "pan") pane.setView({ ...view, pan: [view.pan[0] + dx, view.pan[1] + dy] });
    else if (tool === "zoom") {
      pane.view = view;
      pane.zoom(Math.exp(-dy / 180), from);
    } else if (tool === "scroll") {
      pane.stop();
      pane.show(index + Math.round(dy / Math.max(3, Math.min(24, pane.height / pane.images.length))));
    } else if (tool === "magnify" && place) this.onMagnify({ screen: at, image: place });
  }

  up(at: Point): void {
    const place = this.toImage(at);
    if (this.drag && isKind(this.drag.tool) && place) this.session.drawRelease(this.pane, place);
    this.drag = null;
    this.onMagnify(null);
  }

  /** One notch is one image; a touch pad's small steps add up. */
  wheel(delta: number, mode: number, at: Point, zooming: boolean): void {
    const { pane } = this;
    const pixels = mode === 1 ? delta * 40 : mode === 2 ? delta * 400 : delta;
    if (zooming || this.session.mouse.wheel === "zoom") {
      pane.zoom(Math.exp(-pixels / 500), at);
      return;
    }
    if (Math.sign(pixels) !== Math.sign(this.wheelLeft)) this.wheelLeft = 0;
    this.wheelLeft += pixels;
    const steps =
      Math.abs(pixels) >= 100
        ? Math.sign(pixels) * Math.max(1, Math.round(Math.abs(pixels) / 120))
        : Math.trunc(this.wheelLeft / 40);
    if (steps === 0) return;
    this.wheelLeft = 0;
    pane.stop();
    pane.show(pane.index + steps);
  }
}
