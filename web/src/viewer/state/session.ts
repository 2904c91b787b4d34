import type { Graphic, Measured, Preferences, SeriesInfo } from "../../api/types";
import type { Point } from "../geometry/affine";
import { type Anchor, type Link, linked, linkOf } from "../geometry/linking";
import { complete, type Draft, moved, pressed, released, visible } from "../marks/drawing";
import { isKind, type Kind, measurement } from "../marks/kinds";
import { frames, type Wanted } from "../pixels/frames";
import { forgetSeries, graphicsOf, keyOf, seriesImages } from "../pixels/images";
import { FITTED, flippedAcross, flippedDown, turned } from "../surface/view";
import type { Overlay, PriorImages, Seen } from "../types";
import { Measurements } from "./measurements";
import { Observable } from "./observable";
import { Pane } from "./pane";
import { waiting } from "./waiting";

export type Tool = "window" | "zoom" | "pan" | "scroll" | "magnify" | "probe" | Kind;
export type Layout = "1x1" | "1x2" | "2x2";
export const LAYOUTS: Record<Layout, { columns: number; rows: number }> = {
  "1x1": { columns: 1, rows: 1 },
  "1x2": { columns: 2, rows: 1 },
  "2x2": { columns: 2, rows: 2 },
};
const NAVIGATION = ["window", "zoom", "pan", "scroll", "magnify", "probe"];
export const isTool = (name: string): name is Tool => NAVIGATION.includes(name) || isKind(name);
/** A tool by its name in the preferences, where any area is "area". */
export function toolOf(name: string | undefined, otherwise: Tool): Tool {
  if (name === "area") return "ellipse";
  return name && isTool(name) ? name : otherwise;
}

/** One window means the same on both: values of one unit, of one kind of machine. */
const sameValues = (one: Pane, other: Pane) =>
  one.modality === other.modality &&
  one.image?.unit === other.image?.unit &&
  one.image?.samples === other.image?.samples;

/** The zoom at which a millimetre is as long on the other pane, or the same zoom where millimetres are not known. */
function zoomLike(from: Pane, to: Pane): number {
  const [one, other] = [from.image?.spacing, to.image?.spacing];
  if (!one || !other) return from.view.zoom;
  const perMm = from.scale / Math.min(...one);
  const fitted = to.scale / to.view.zoom / Math.min(...other);
  return fitted > 0 ? perMm / fitted : from.view.zoom;
}

export const NO_OVERLAY: Overlay = { regions: [], lit: null, map: null, opacity: 0.5 };

/** The viewer of one page: its panes, tools and marks. It outlives the studies that are shown in it. */
export class Session extends Observable {
  readonly panes = [0, 1, 2, 3].map((id) => new Pane(id));
  readonly measurements = new Measurements();
  study = "";
  series: SeriesInfo[] = [];
  prior: PriorImages | null = null;
  layout: Layout = "1x1";
  active = 0;
  tool: Tool = "window";
  /** What the other buttons and the wheel do; the left button does what the toolbar says. */
  mouse: Record<"secondary" | "auxiliary" | "wheel", Tool> = { secondary: "zoom", auxiliary: "pan", wheel: "scroll" };
  private primary: string | undefined;
  linking = true;
  /** What the panes have in common on wish: the window; zoom, place and turn. */
  readonly ties = new Set<"window" | "view">();
  overlay: Overlay = NO_OVERLAY;
  evidence = true;
  texts = true;
  identity = true;
  othersShown = true;
  others: Graphic[] = [];
  othersTrouble = "";
  draft: Draft | null = null;
  /** The pane in which the draft is drawn. */
  drawingIn = 0;
  private anchors = new Map<string, Anchor>();
  private seen = new Set<string>();
  private telling: ReturnType<typeof setTimeout> | null = null;
  private wanting: ReturnType<typeof setTimeout> | null = null;
  onSeen: (seen: Seen) => void = () => {};
  onImage: (image: string, frame: number) => void = () => {};

  constructor() {
    super();
    for (const pane of this.panes) {
      pane.onMoved = () => this.follow(pane);
      pane.onOpened = (aligned) => {
        if (aligned && pane !== this.pane && this.open.includes(pane)) this.align(pane);
        this.changed();
      };
      pane.onAdjusted = (what) => this.tie(pane, what);
      pane.onShown = (image) => {
        if (pane.study !== this.study) return;
        const before = this.seen.size;
        this.seen.add(keyOf(image));
        if (this.seen.size !== before) this.tellSeen();
        if (pane === this.pane) this.onImage(image.uid, image.frame);
      };
    }
  }

  get pane(): Pane {
    return this.panes[this.active];
  }
  get count(): number {
    const { columns, rows } = LAYOUTS[this.layout];
    return columns * rows;
  }
  get open(): Pane[] {
    return this.panes.slice(0, this.count);
  }
  isSeen(key: string): boolean {
    return this.seen.has(key);
  }
  /** A few times a second at most: the page need not follow every slice of a fast scroll. */
  private tellSeen(): void {
    this.telling ??= setTimeout(() => {
      this.telling = null;
      this.onSeen(this.seenSoFar);
    }, 250);
  }
  get seenSoFar(): Seen {
    return { images: this.seen.size, of: this.series.reduce((sum, { frames: each }) => sum + each, 0) };
  }

  /** The study on the screen, or the same with new series. */
  take(study: string, series: SeriesInfo[]): void {
    this.series = series;
    if (study === this.study) {
      // The list may come after the study, and series arrive while it is open.
      const known = new Set(series.map(({ uid }) => uid));
      const mine = this.panes.filter((pane) => pane.study === study);
      for (const pane of mine) if (!known.has(pane.series)) pane.close();
      if (!mine.some((pane) => known.has(pane.series))) this.hang();
      this.changed();
      return;
    }
    this.study = study;
    this.seen.clear();
    this.anchors.clear();
    this.prior = null;
    this.draft = null;
    this.active = 0;
    this.layout = "1x1";
    this.overlay = NO_OVERLAY;
    this.measurements.clear();
    for (const pane of this.panes) pane.close();
    this.others = [];
    this.othersTrouble = "";
    this.hang();
    this.tellSeen();
    void graphicsOf(study).then(
      (graphics) => {
        if (study !== this.study) return;
        this.others = graphics;
        this.changed();
      },
      (error: unknown) => {
        if (study !== this.study) return;
        this.othersTrouble = error instanceof Error ? error.message : "Others' graphics cannot be read.";
        this.changed();
      },
    );
    this.flush();
  }

  private get showable(): SeriesInfo[] {
    return this.series.filter(({ frames: each }) => each > 0);
  }

  /** The first look: two films side by side, else the first series. */
  private hang(): void {
    const [first, second] = this.showable;
    if (!first) return;
    const films = this.showable.length === 2 && this.showable.every(({ frames: each }) => each === 1);
    if (films) this.layout = "1x2";
    void this.panes[0].open(this.study, first.uid);
    if (films && second) void this.panes[1].open(this.study, second.uid);
  }

  setTool(tool: Tool): void {
    if (isKind(tool) && !this.measurements.writable) return;
    this.tool = tool;
    this.draft = null;
    this.flush();
  }

  setMouse(mouse: Preferences["mouse"]): void {
    this.mouse = {
      secondary: toolOf(mouse?.secondary, "zoom"),
      auxiliary: toolOf(mouse?.auxiliary, "pan"),
      wheel: toolOf(mouse?.wheel, "scroll"),
    };
    // Only a change of the preference moves the toolbar's own choice.
    if (mouse?.primary !== this.primary) this.tool = toolOf(mouse?.primary, "window");
    this.primary = mouse?.primary;
    this.changed();
  }

  setLayout(layout: Layout): void {
    this.layout = layout;
    if (this.active >= this.count) this.active = 0;
    for (const pane of this.panes.slice(this.count)) pane.stop();
    const others = this.showable.filter(({ uid }) => !this.open.some((pane) => pane.series === uid));
    for (const pane of this.open)
      if (!pane.series) {
        const next = others.shift();
        if (next) void pane.open(this.study, next.uid);
      }
    this.want();
    this.flush();
  }

  activate(id: number): void {
    if (id === this.active || id >= this.count) return;
    this.active = id;
    if (this.draft && this.drawingIn !== id) this.draft = null;
    this.want();
    const { image } = this.pane;
    if (image && this.pane.study === this.study) this.onImage(image.uid, image.frame);
    this.flush();
  }

  /** An earlier study beside this one: its series that is most like the one in hand. */
  takePrior(prior: PriorImages | null): void {
    if (prior?.study === this.prior?.study) return;
    const before = this.prior;
    this.prior = prior;
    this.anchors.clear();
    if (before) for (const pane of this.panes) if (pane.study === before.study) pane.close();
    if (!prior) {
      if (before && this.layout === "1x2") this.layout = "1x1";
      this.active = 0;
      this.want();
      this.flush();
      return;
    }
    const now = this.series.find(({ uid }) => uid === this.panes[0].series);
    const fitting = prior.series
      .filter(({ frames: each }) => each > 0)
      .map((each) => ({
        each,
        likeness:
          (each.modality === now?.modality ? 4 : 0) +
          (each.description === now?.description ? 2 : 0) +
          (each.body_part === now?.body_part ? 1 : 0),
      }))
      .sort((a, b) => b.likeness - a.likeness)[0];
    if (this.layout === "1x1") this.layout = "1x2";
    if (fitting) void this.panes[1].open(prior.study, fitting.each.uid);
    this.flush();
  }

  // ---- linked scrolling --------------------------------------------------------------------------------------
  private anchor(from: Pane, to: Pane): Anchor | null {
    const forward = this.anchors.get(`${from.series} ${to.series}`);
    if (forward) return forward;
    const back = this.anchors.get(`${to.series} ${from.series}`);
    return back ? { from: back.to, to: back.from } : null;
  }

  /** How this pane is linked with the active one; null: it is not. */
  linkWith(pane: Pane): Link | null {
    if (!this.linking || pane === this.pane || !pane.image || !this.pane.image) return null;
    if (pane.images.length < 2 || this.pane.images.length < 2) return null;
    const anchor = this.anchor(this.pane, pane);
    const how = linkOf(this.pane.images, pane.images, anchor);
    // Within one study only positions say which images belong together.
    return how === "fraction" && pane.study === this.pane.study && !anchor ? null : how;
  }

  /** Linking by hand takes the stacks as they stand now. */
  setLinking(linking: boolean): void {
    this.linking = linking;
    if (linking)
      for (const from of this.open)
        for (const to of this.open)
          if (from.id < to.id && from.image && to.image)
            this.anchors.set(`${from.series} ${to.series}`, { from: from.index, to: to.index });
    this.flush();
  }

  /** A stack that comes beside another one begins where that one stands. */
  private align(pane: Pane): void {
    if (this.linkWith(pane) === null) return;
    const { images, index } = this.pane;
    pane.show(linked(images, index, pane.images, this.anchor(this.pane, pane)), true);
  }

  // ---- windows and views in common -------------------------------------------------------------------------------
  setTie(what: "window" | "view", tied: boolean): void {
    if (tied) this.ties.add(what);
    else this.ties.delete(what);
    if (tied) this.tie(this.pane, what);
    this.flush();
  }

  /** What a pane has in common with the active one, in words; "" for nothing. */
  isTied(pane: Pane): string {
    if (pane === this.pane || this.count < 2) return "";
    const shared = [
      this.ties.has("window") && sameValues(pane, this.pane) && "window",
      this.ties.has("view") && "zoom and position",
    ].filter(Boolean);
    return shared.length > 0 ? `${shared.join(", ")} linked` : "";
  }

  private tie(from: Pane, what: "window" | "view"): void {
    if (!this.ties.has(what) || !this.open.includes(from)) return;
    for (const pane of this.open) {
      if (pane === from || !pane.image || !from.image) continue;
      if (what === "view") pane.setView({ ...from.view, zoom: zoomLike(from, pane) }, true);
      else if (sameValues(from, pane)) pane.setWindow(from.window, true);
    }
  }

  private follow(pane: Pane): void {
    if (pane === this.pane && this.linking)
      for (const other of this.open) {
        if (other === pane || this.linkWith(other) === null) continue;
        other.show(linked(pane.images, pane.index, other.images, this.anchor(pane, other)), true);
      }
    if (pane.state !== "loaded") this.want();
    else
      this.wanting ??= setTimeout(() => {
        this.wanting = null;
        this.want();
      }, 100);
  }

  /** Tells the store what is wanted: the active pane first; the study that comes next last. */
  want(): void {
    const panes = [this.pane, ...this.open.filter((pane) => pane !== this.pane)];
    const wanted: Wanted[] = panes.map(({ images, index }) => ({ images, index }));
    frames.want([...wanted, ...waiting.wanted()]);
    forgetSeries(new Set([this.study, this.prior?.study ?? "", waiting.study]));
  }

  // ---- marks ----------------------------------------------------------------------------------------------------
  takeMeasurements(server: Measured[], keeper: Parameters<Measurements["take"]>[1]): void {
    this.measurements.take(server, keeper);
  }

  setOverlay(overlay: Overlay | null): void {
    this.overlay = overlay ?? NO_OVERLAY;
    this.flush();
  }

  drawPress(pane: Pane, kind: Kind, at: Point): void {
    const going = this.draft && this.drawingIn === pane.id ? this.draft : null;
    this.drawingIn = pane.id;
    this.draft = pressed(going, kind, at);
    this.flush();
  }
  drawMove(at: Point): void {
    if (!this.draft) return;
    this.draft = moved(this.draft, at);
    this.changed();
  }
  drawRelease(pane: Pane, at: Point): void {
    if (!this.draft || this.drawingIn !== pane.id) return;
    this.draft = released(this.draft, at, 5 / Math.max(pane.scale, 1e-6));
    const { image } = pane;
    if (complete(this.draft) && image) {
      const { kind } = this.draft;
      const body = measurement(kind, visible(this.draft), image, pane.pixels);
      this.draft = null;
      // The server keeps measurements of this study's images only.
      if (pane.study === this.study) void this.measurements.add(body);
      else this.measurements.sketch(body);
    }
    this.flush();
  }
  cancelDrawing(): boolean {
    const going = this.draft !== null;
    this.draft = null;
    if (going) this.flush();
    return going;
  }

  /** A series that was dropped on a pane. */
  drop(pane: Pane, { study, series }: { study: string; series: string }): void {
    const list = study === this.study ? this.showable : study === this.prior?.study ? this.prior.series : [];
    if (!list.some(({ uid }) => uid === series)) return;
    this.activate(pane.id);
    this.openSeries(pane, study, series);
    this.flush();
  }

  // ---- moves through series and studies ------------------------------------------------------------------------------
  openSeries(pane: Pane, study: string, series: string): void {
    void pane.open(study, series);
    this.changed();
  }

  stepSeries(by: number): boolean {
    const list =
      this.pane.study === this.prior?.study ? this.prior.series.filter(({ frames: each }) => each > 0) : this.showable;
    const next = list[list.findIndex(({ uid }) => uid === this.pane.series) + by];
    if (!next) return false;
    this.openSeries(this.pane, this.pane.study || this.study, next.uid);
    return true;
  }

  /** Shows an image of the study wherever it is; looks through the series that are not open yet. */
  async showImage(image: string, frame?: number | null): Promise<void> {
    const panes = [this.pane, ...this.open.filter((pane) => pane !== this.pane)].filter(
      ({ study }) => study === this.study,
    );
    for (const pane of panes)
      if (pane.showImage(image, frame)) {
        this.activate(pane.id);
        return;
      }
    const { study } = this;
    const target = panes[0] ?? this.pane;
    for (const { uid } of this.showable) {
      const found = await seriesImages(study, uid).catch(() => null);
      if (study !== this.study) return;
      if (!found?.images.some((each) => each.uid === image)) continue;
      await target.open(study, uid, image, frame);
      this.activate(target.id);
      return;
    }
  }

  turnView(how: "rotate" | "flip.horizontal" | "flip.vertical" | "fit"): void {
    const { pane } = this;
    if (how === "fit") pane.setView({ ...pane.view, zoom: FITTED.zoom, pan: FITTED.pan });
    else
      pane.setView({ rotate: turned, "flip.horizontal": flippedAcross, "flip.vertical": flippedDown }[how](pane.view));
  }

  detach(): void {
    for (const pane of this.panes) pane.detach();
  }
}
