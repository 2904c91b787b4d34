import type { ImageInfo } from "../../api/types";
import type { Pixels } from "../types";
import { bytesOf, frameOf, keyOf, Refused } from "./images";
import { plan } from "./order";

/** A stack whose images are wanted; the first of the list is the one in hand. */
export interface Wanted {
  images: ImageInfo[];
  index: number;
}
export type FrameState = "absent" | "loading" | "loaded" | "failed";

const VIEWS = { uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array, float32: Float32Array };

/** The pixels that the page holds, and the order in which they come.
 *
 *  Typed arrays of the server's own type (2 bytes a value for CT: 524 MB for 1,000 slices of 512 x 512), at most `budget`
 *  bytes of them, at most `parallel` requests at a time. What no stack wants any more is let go. */
export class Frames {
  private readonly held = new Map<string, Pixels>();
  private readonly failed = new Map<string, string>();
  private readonly running = new Map<string, AbortController>();
  private readonly images = new Map<string, ImageInfo>();
  private readonly listeners = new Set<(key: string) => void>();
  private wanted: Wanted[] = [];
  private queue: string[] = [];
  private size = 0;
  /** Told when pixels are let go, so that copies elsewhere (the engine's cache) go with them. */
  onDropped: (key: string) => void = () => {};

  constructor(
    readonly budget = 640 * 2 ** 20,
    // Browsers have six connections to a host: one for live events, one for a draft, one for what the reader writes.
    readonly parallel = 3,
    private readonly fetchFrame = frameOf,
    private readonly pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms)),
  ) {}

  get bytes(): number {
    return this.size;
  }
  get(image: Pick<ImageInfo, "uid" | "frame">): Pixels | undefined {
    return this.held.get(keyOf(image));
  }
  state(image: ImageInfo): FrameState {
    const key = keyOf(image);
    if (this.held.has(key)) return "loaded";
    if (this.failed.has(key) || image.problem) return "failed";
    return this.running.has(key) ? "loading" : "absent";
  }
  problem(image: ImageInfo): string {
    return image.problem || this.failed.get(keyOf(image)) || "";
  }
  /** Told the key of each image whose state changed. */
  subscribe(listener: (key: string) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Says anew what is wanted: loads begin with the shown images and go outward; all else is let go. */
  want(wanted: Wanted[]): void {
    this.wanted = wanted;
    this.images.clear();
    for (const { images } of wanted) for (const image of images) this.images.set(keyOf(image), image);
    const order = plan(
      wanted.map(({ images, index }) => ({ keys: images.map(keyOf), index, bytes: images.map(bytesOf) })),
      this.budget,
    );
    const kept = new Set(order);
    for (const key of [...this.held.keys()]) if (!kept.has(key)) this.drop(key);
    for (const [key, control] of this.running) if (!this.images.has(key)) control.abort();
    for (const key of this.failed.keys()) if (!this.images.has(key)) this.failed.delete(key);
    this.queue = order.filter((key) => !this.held.has(key) && !this.failed.has(key));
    this.pump();
  }

  /** Asks once more for an image that did not come. */
  retry(image: ImageInfo): void {
    this.failed.delete(keyOf(image));
    this.tell(keyOf(image));
    this.want(this.wanted);
  }

  /** Waits until the image is there; rejects with what the server said. */
  loaded(image: ImageInfo): Promise<Pixels> {
    const here = this.get(image);
    if (here) return Promise.resolve(here);
    return new Promise((resolve, reject) => {
      const off = this.subscribe((key) => {
        if (key !== keyOf(image)) return;
        const pixels = this.held.get(key);
        const problem = this.problem(image);
        if (!pixels && !problem) return;
        off();
        if (pixels) resolve(pixels);
        else reject(new Error(problem));
      });
    });
  }

  private pump(): void {
    while (this.running.size < this.parallel) {
      const key = this.queue.shift();
      if (key === undefined) return;
      const image = this.images.get(key);
      if (!image || image.problem || this.running.has(key) || this.held.has(key)) continue;
      void this.load(key, image);
    }
  }

  private async load(key: string, image: ImageInfo): Promise<void> {
    const control = new AbortController();
    this.running.set(key, control);
    this.tell(key);
    try {
      const bytes = await this.twice(image, control.signal);
      if (this.images.has(key)) {
        this.held.set(key, new VIEWS[image.dtype](bytes));
        this.size += bytes.byteLength;
        this.failed.delete(key);
      }
    } catch (error) {
      if (!control.signal.aborted && this.images.has(key))
        this.failed.set(key, error instanceof Error ? error.message : "The image did not come.");
    } finally {
      this.running.delete(key);
      this.tell(key);
      this.pump();
    }
  }

  /** A second try after a moment where a second try can help: no answer, too many requests, or a server's own failure. */
  private async twice(image: ImageInfo, signal: AbortSignal): Promise<ArrayBuffer> {
    const urgent = this.wanted.some(({ images, index }) => images[index] === image);
    try {
      return await this.fetchFrame(image, signal, urgent);
    } catch (error) {
      const hopeless = error instanceof Refused && error.status >= 400 && error.status < 500 && error.status !== 429;
      if (signal.aborted || hopeless) throw error;
      await this.pause(800);
      return await this.fetchFrame(image, signal, urgent);
    }
  }

  private drop(key: string): void {
    this.size -= this.held.get(key)?.byteLength ?? 0;
    this.held.delete(key);
    this.onDropped(key);
    this.tell(key);
  }

  private tell(key: string): void {
    for (const listener of [...this.listeners]) listener(key);
  }
}

/** The page's one store of pixels: it lives on from study to study. */
export const frames = new Frames();
