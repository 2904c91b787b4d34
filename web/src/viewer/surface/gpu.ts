import {
  cache,
  Enums,
  imageLoader,
  init,
  metaData,
  type PlanarViewport,
  RenderingEngine,
  type Types,
  utilities,
} from "@cornerstonejs/core";
import type { ImageInfo } from "../../api/types";
import { type Affine, fromCorners, type Point } from "../geometry/affine";
import { bounds } from "../geometry/window";
import { frames } from "../pixels/frames";
import { bytesOf, keyOf } from "../pixels/images";
import type { Scene, Surface } from "./surface";
import { affineOf, decomposed, fitScale, pixelShape, quarterOf } from "./view";

/* Cornerstone3D 5.14, core only, with PLANAR_NEXT viewports (the lasting API; the legacy stack viewport is on its way out).
   - Its tools package is not used: the contract keeps measurements in pixels of the stored image and says how far each is
     calibrated, while its annotations live in the coordinates of a frame of reference, which films have not, in one state for
     the whole page. Ours are drawn as SVG over the image (see `marks/`) and are reached by keyboard.
   - Each image gets a flat world of its own (no orientation, first pixel at 0, 0, 0): a stack may then mix images of any
     direction and size, and one view holds for all. Orientation letters and linked scrolling use the header's own values.
   - Only images that are here already are shown: a load that fails inside a viewport would leave its index stuck. */

const SCHEME = "aris";
const ENGINE = "aris";
/** The images of all open stacks, for the metadata provider. */
const opened = new Map<string, ImageInfo>();
const users = new Map<string, number>();
let engine: RenderingEngine | null = null;
let count = 0;

const idOf = (image: ImageInfo) => `${SCHEME}:${keyOf(image)}`;

function metadata(type: string, imageId: unknown): unknown {
  if (typeof imageId !== "string" || !imageId.startsWith(`${SCHEME}:`)) return undefined;
  const image = opened.get(imageId);
  if (!image) return undefined;
  const [columnPixelSpacing, rowPixelSpacing] = pixelShape(image);
  if (type === Enums.MetadataModules.IMAGE_PLANE)
    return {
      rows: image.rows,
      columns: image.columns,
      rowCosines: [1, 0, 0],
      columnCosines: [0, 1, 0],
      imageOrientationPatient: [1, 0, 0, 0, 1, 0],
      imagePositionPatient: [0, 0, 0],
      rowPixelSpacing,
      columnPixelSpacing,
      pixelSpacing: [rowPixelSpacing, columnPixelSpacing],
      frameOfReferenceUID: `${SCHEME}.flat`,
      usingDefaultValues: false,
    };
  if (type === Enums.MetadataModules.IMAGE_PIXEL) {
    const bits = { uint8: 8, int16: 16, uint16: 16, float32: 32 }[image.dtype];
    return {
      bitsAllocated: bits,
      bitsStored: bits,
      highBit: bits - 1,
      samplesPerPixel: image.samples,
      pixelRepresentation: image.dtype === "int16" || image.dtype === "float32" ? 1 : 0,
      photometricInterpretation: image.samples === 3 ? "RGB" : "MONOCHROME2",
    };
  }
  // No modality is told: the values are rescaled already, and SUV windows and the like are ours to choose.
  if (type === Enums.MetadataModules.GENERAL_SERIES) return { modality: "OT" };
  return undefined;
}

function imageOf(imageId: string): Types.IImage {
  const image = opened.get(imageId);
  const pixels = image && frames.get(image);
  if (!image || !pixels) throw new Error(`image ${imageId} is not here`);
  const [columnPixelSpacing, rowPixelSpacing] = pixelShape(image);
  const voxelManager = utilities.VoxelManager.createImageVoxelManager({
    width: image.columns,
    height: image.rows,
    scalarData: pixels,
    numberOfComponents: image.samples,
  });
  return {
    imageId,
    rows: image.rows,
    columns: image.columns,
    height: image.rows,
    width: image.columns,
    color: image.samples === 3,
    rgba: false,
    numberOfComponents: image.samples,
    columnPixelSpacing,
    rowPixelSpacing,
    minPixelValue: image.least ?? 0,
    maxPixelValue: image.greatest ?? 255,
    slope: 1,
    intercept: 0,
    windowCenter: image.window[0]?.center ?? 128,
    windowWidth: image.window[0]?.width ?? 256,
    voiLUTFunction: Enums.VOILUTFunctionType.LINEAR,
    invert: false,
    photometricInterpretation: image.samples === 3 ? "RGB" : "MONOCHROME2",
    sizeInBytes: bytesOf(image),
    dataType: pixels.constructor.name as Types.IImage["dataType"],
    getPixelData: () => pixels,
    getCanvas: () => document.createElement("canvas"),
    voxelManager: voxelManager as Types.IImage["voxelManager"],
  };
}

/** The one engine of the page's life. */
function start(): RenderingEngine {
  if (engine) return engine;
  init({ rendering: { preferSizeOverAccuracy: false } } as Types.Cornerstone3DConfig);
  cache.setMaxCacheSize(frames.budget * 2);
  metaData.addProvider(metadata, 10_000);
  imageLoader.registerImageLoader(SCHEME, (imageId) => ({
    promise: (async () => imageOf(imageId))(),
  }));
  frames.onDropped = (key) => {
    const id = `${SCHEME}:${key}`;
    if (cache.getImageLoadObject(id)) cache.removeImageLoadObject(id, { force: true });
  };
  engine = new RenderingEngine(ENGINE);
  return engine;
}

/** Draws with the graphics card through Cornerstone3D. */
export class GpuSurface implements Surface {
  readonly kind = "gpu";
  private readonly id = `pane-${++count}`;
  private readonly viewport: PlanarViewport;
  private stack: string[] = [];
  private places = new Map<string, number>();
  private dataId = "";
  private mounted = "";
  private mounting = false;
  private next: Scene | null = null;
  private width = 1;
  private height = 1;

  private readonly inner = document.createElement("div");

  constructor(element: HTMLDivElement) {
    const running = start();
    // The engine sets `position` on the element that it is given.
    this.inner.style.width = this.inner.style.height = "100%";
    element.appendChild(this.inner);
    running.enableElement({
      viewportId: this.id,
      type: Enums.ViewportType.PLANAR_NEXT,
      element: this.inner,
      defaultOptions: { background: [0, 0, 0] },
    });
    this.viewport = running.getViewport(this.id) as unknown as PlanarViewport;
  }

  open(images: ImageInfo[]): void {
    this.close();
    this.stack = images.map(idOf);
    this.places = new Map(this.stack.map((id, i) => [id, i]));
    for (const image of images) {
      const id = idOf(image);
      opened.set(id, image);
      users.set(id, (users.get(id) ?? 0) + 1);
    }
    this.dataId = `${this.id}:${images[0] ? keyOf(images[0]) : ""}:${images.length}:${++count}`;
  }

  private close(): void {
    for (const id of this.stack) {
      const left = (users.get(id) ?? 1) - 1;
      if (left > 0) users.set(id, left);
      else {
        users.delete(id);
        opened.delete(id);
      }
    }
    if (this.mounted) {
      this.viewport.removeData(this.mounted);
      utilities.genericViewportDisplaySetMetadataProvider.remove(this.mounted);
    }
    this.mounted = "";
    this.stack = [];
  }

  resize(width: number, height: number): void {
    [this.width, this.height] = [Math.max(1, width), Math.max(1, height)];
    engine?.resize(true, true);
  }

  draw(scene: Scene): void {
    this.next = scene;
    if (this.mounted === this.dataId) this.apply(scene);
    else if (!this.mounting) void this.mount();
  }

  private async mount(): Promise<void> {
    this.mounting = true;
    try {
      while (this.next && this.mounted !== this.dataId) {
        const dataId = this.dataId;
        utilities.genericViewportDisplaySetMetadataProvider.add(dataId, {
          kind: "planar",
          imageIds: this.stack,
          initialImageIdIndex: this.places.get(idOf(this.next.image)) ?? 0,
        });
        await this.viewport.setDisplaySets({ displaySetId: dataId });
        this.mounted = dataId;
      }
      if (this.next) this.apply(this.next);
    } finally {
      this.mounting = false;
    }
  }

  private apply({ image, pixels, view, window, invert }: Scene): void {
    const [lower, upper] = bounds(window, pixels instanceof Float32Array);
    const sigmoid = window.shape === "SIGMOID";
    this.viewport.setDisplaySetPresentation(this.mounted, {
      visible: true,
      voiRange: { lower, upper },
      voiLUTFunction: sigmoid ? Enums.VOILUTFunctionType.SAMPLED_SIGMOID : Enums.VOILUTFunctionType.LINEAR,
      invert,
      interpolationType:
        fitScale(image, view, this.width, this.height) * view.zoom >= 6
          ? Enums.InterpolationType.NEAREST
          : Enums.InterpolationType.LINEAR,
    });
    const [px, py] = pixelShape(image);
    // Cornerstone's own "fit" leaves turns out.
    const upright = Math.min(this.width / (image.columns * px), this.height / (image.rows * py));
    const scale = (view.zoom * fitScale(image, view, this.width, this.height)) / upright;
    const { rotation, flip } = decomposed(quarterOf(image, view));
    this.viewport.setViewState({
      slice: { kind: "stackIndex", imageIdIndex: this.places.get(idOf(image)) ?? 0 },
      anchorWorld: undefined,
      anchorCanvas: [0.5 + view.pan[0] / this.width, 0.5 + view.pan[1] / this.height],
      scale: [scale, scale],
      scaleMode: "fit",
      rotation,
      flipHorizontal: flip,
      flipVertical: false,
    });
    this.viewport.render();
  }

  clear(): void {
    this.next = null;
    if (this.mounted) this.viewport.setDisplaySetPresentation(this.mounted, { visible: false });
  }

  affine({ image, view }: Scene): Affine {
    if (this.mounted !== this.dataId) return affineOf(image, view, this.width, this.height);
    const [px, py] = pixelShape(image);
    const at = (x: number, y: number): Point =>
      this.viewport.worldToCanvas([(x - 0.5) * px, (y - 0.5) * py, 0]) as Point;
    return fromCorners(at(0, 0), at(1, 0), at(0, 1));
  }

  canvas(): HTMLCanvasElement {
    return this.viewport.getCanvas();
  }

  destroy(): void {
    this.next = null;
    this.close();
    engine?.disableElement(this.id);
    this.inner.remove();
  }
}
