import type { ImageInfo } from "../../api/types";
import { type Affine, IDENTITY, type Point } from "../geometry/affine";
import { type Gap, gapsOf } from "../geometry/gaps";
import { initialWindow, type Preset, presets, type Window } from "../geometry/window";
import { type FrameState, type Frames, frames } from "../pixels/frames";
import { keyOf, seriesImages } from "../pixels/images";
import type { Choice } from "../surface/choose";
import type { Scene, Surface } from "../surface/surface";
import { FITTED, fitScale, type View, zoomed } from "../surface/view";
import type { Pixels } from "../types";
import { Observable } from "./observable";

/** One pane: a stack of images, which of them is shown, and how. It draws itself once a frame of the screen. */
export class Pane extends Observable {
  study = "";
  series = "";
  modality = "";
  description = "";
  images: ImageInfo[] = [];
  index = 0;
  /** Why the series is not there, "" if it is. */
  trouble = "";
  opening = false;
  view: View = FITTED;
  window: Window = { center: 128, width: 256 };
  /** The reader's own inversion, beside the image's. */
  inverted = false;
  playing = false;
  /** Images a second. */
  rate = 12;
  width = 1;
  height = 1;
  private surface: Surface | null = null;
  private element: HTMLDivElement | null = null;
  private windowed = false;
  /** Where slices are missing, by the number of the image after the gap. */
  gaps: ReadonlyMap<number, Gap> = new Map();
  private keys = new Set<string>();
  private ticket = 0;
  private due = 0;
  private stopListening = () => {};
  /** Told after an image was really drawn. */
  onShown: (image: ImageInfo) => void = () => {};
  /** Told when another image or series is asked for. */
  onMoved: () => void = () => {};
  /** Told when another series was asked for, and when it came; `aligned`: no image of it was asked for by name. */
  onOpened: (aligned: boolean) => void = () => {};
  /** Told when the reader changed how it is shown. */
  onAdjusted: (what: "window" | "view") => void = () => {};

  constructor(
    readonly id: number,
    private readonly store: Frames = frames,
  ) {
    super();
  }

  get image(): ImageInfo | undefined {
    return this.images[this.index];
  }
  get pixels(): Pixels | undefined {
    return this.image && this.store.get(this.image);
  }
  get state(): FrameState | "none" {
    return this.image ? this.store.state(this.image) : "none";
  }
  get problem(): string {
    return this.image ? this.store.problem(this.image) : "";
  }
  get presets(): Preset[] {
    return presets(this.modality, this.image, this.pixels);
  }
  get scene(): Scene | null {
    const { image, pixels } = this;
    if (!image || !pixels) return null;
    return { image, pixels, view: this.view, window: this.window, invert: this.inverted !== image.inverted };
  }
  /** Image to screen; the identity where nothing is shown. */
  get affine(): Affine {
    const { scene } = this;
    return scene && this.surface ? this.surface.affine(scene) : IDENTITY;
  }
  /** Screen pixels per image pixel. */
  get scale(): number {
    return this.image ? fitScale(this.image, this.view, this.width, this.height) * this.view.zoom : 1;
  }

  attach(element: HTMLDivElement, choice: Choice): void {
    if (this.element === element) return;
    this.detach();
    this.element = element;
    this.surface = choice.make(element);
    this.surface.open(this.images);
    this.resize(element.clientWidth, element.clientHeight);
    this.stopListening = this.store.subscribe((key) => {
      if (this.keys.has(key)) this.changed();
    });
  }

  detach(): void {
    this.stop();
    this.stopListening();
    this.stopListening = () => {};
    this.surface?.destroy();
    this.surface = null;
    this.element = null;
  }

  resize(width: number, height: number): void {
    if (width < 2 || height < 2) return;
    [this.width, this.height] = [width, height];
    this.surface?.resize(width, height);
    this.changed();
  }

  /** Shows another series, from its first image or a given one. */
  async open(study: string, series: string, image?: string, frame?: number | null): Promise<void> {
    if (this.study === study && this.series === series && this.images.length > 0 && !this.trouble) {
      if (image) this.showImage(image, frame);
      return;
    }
    const ticket = ++this.ticket;
    this.stop();
    Object.assign(this, {
      study,
      series,
      images: [],
      gaps: new Map(),
      index: 0,
      trouble: "",
      opening: true,
      windowed: false,
    });
    this.surface?.clear();
    this.changed();
    this.onOpened(false);
    try {
      const found = await seriesImages(study, series);
      if (ticket !== this.ticket) return;
      this.images = found.images;
      this.gaps = gapsOf(found.images);
      this.keys = new Set(found.images.map(keyOf));
      this.modality = found.modality;
      this.description = found.description;
      this.view = FITTED;
      this.inverted = false;
      this.rate = found.images[0]?.cine_rate ?? 12;
      this.surface?.open(this.images);
      if (this.images.length === 0) this.trouble = "This series holds no images to show.";
      if (image) this.index = Math.max(0, this.find(image, frame));
    } catch (error) {
      if (ticket !== this.ticket) return;
      this.trouble = error instanceof Error ? error.message : "The series cannot be read.";
    }
    this.opening = false;
    this.onMoved();
    this.onOpened(!image);
    this.changed();
  }

  close(): void {
    this.ticket++;
    this.stop();
    Object.assign(this, { study: "", series: "", images: [], index: 0, trouble: "", opening: false, windowed: false });
    this.gaps = new Map();
    this.surface?.open([]);
    this.surface?.clear();
    this.changed();
  }

  find(image: string, frame?: number | null): number {
    const exact = this.images.findIndex((each) => each.uid === image && (frame == null || each.frame === frame));
    return exact >= 0 ? exact : this.images.findIndex((each) => each.uid === image);
  }

  showImage(image: string, frame?: number | null): boolean {
    const place = this.find(image, frame);
    if (place >= 0) this.show(place);
    return place >= 0;
  }

  /** Shows the image of this number, held within the stack. */
  show(index: number, quietly = false): void {
    const wanted = Math.min(this.images.length - 1, Math.max(0, Math.round(index)));
    if (wanted === this.index || this.images.length === 0) return;
    this.index = wanted;
    if (!quietly) this.onMoved();
    this.changed();
  }

  setWindow(window: Window, quietly = false): void {
    this.window = window;
    this.windowed = true;
    if (!quietly) this.onAdjusted("window");
    this.changed();
  }
  setView(view: View, quietly = false): void {
    this.view = view;
    if (!quietly) this.onAdjusted("view");
    this.changed();
  }
  zoom(factor: number, at: Point = [this.width / 2, this.height / 2]): void {
    this.setView(zoomed(this.view, factor, at, this.width, this.height));
  }
  /** One image pixel to one pixel of the screen (its own, not CSS's). */
  actual(): void {
    if (!this.image) return;
    const fit = fitScale(this.image, this.view, this.width, this.height);
    this.setView({ ...this.view, zoom: 1 / (globalThis.devicePixelRatio || 1) / fit, pan: [0, 0] });
  }
  invert(): void {
    this.inverted = !this.inverted;
    this.changed();
  }
  reset(): void {
    this.view = FITTED;
    this.inverted = false;
    this.windowed = false;
    this.onAdjusted("view");
    this.changed();
  }
  retry(): void {
    if (this.trouble) {
      const { study, series } = this;
      this.series = "";
      void this.open(study, series);
    } else if (this.image) this.store.retry(this.image);
  }

  play(rate = this.rate): void {
    if (this.images.length < 2) return;
    this.rate = Math.min(60, Math.max(1, rate));
    this.playing = true;
    this.due = performance.now();
    this.changed();
    requestAnimationFrame(this.tick);
  }
  stop(): void {
    if (!this.playing) return;
    this.playing = false;
    this.changed();
  }
  private readonly tick = (now: number): void => {
    if (!this.playing) return;
    if (now - this.due >= 1000 / this.rate - 2) {
      const next = (this.index + 1) % this.images.length;
      // An image that is still to come is waited for; one that will not come is shown as missing, and passed.
      if (this.store.state(this.images[next]) !== "absent" && this.store.state(this.images[next]) !== "loading") {
        this.due = Math.max(this.due + 1000 / this.rate, now - 1000 / this.rate);
        this.show(next);
      }
    }
    requestAnimationFrame(this.tick);
  };

  protected override beforeTelling(): void {
    const { scene } = this;
    if (!this.surface) return;
    if (!scene) {
      this.surface.clear();
      return;
    }
    if (!this.windowed) {
      this.window = initialWindow(this.modality, scene.image, scene.pixels);
      this.windowed = this.images.length > 1 && scene.image.window.length === 0;
      scene.window = this.window;
    }
    this.surface.draw(scene);
    this.onShown(scene.image);
  }
}
