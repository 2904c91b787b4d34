import type { Surface } from "./surface";

export interface Choice {
  kind: Surface["kind"];
  /** Said on the screen where it is not the usual way. */
  why: string;
  make(element: HTMLDivElement): Surface;
}

let chosen: Promise<Choice> | null = null;

/** The graphics card where there is one; a plain canvas where WebGL is missing or emulated in software. A person may force one
 *  with `aris.renderer` ("gpu" or "canvas") in the browser's local storage. */
export function chooseSurface(): Promise<Choice> {
  chosen ??= choose();
  return chosen;
}

async function choose(): Promise<Choice> {
  let forced: string | null = null;
  try {
    forced = localStorage.getItem("aris.renderer");
  } catch {
    // Storage may be forbidden: nothing is forced then.
  }
  const { CanvasSurface } = await import("./canvas");
  const plain = (why: string): Choice => ({ kind: "canvas", why, make: (element) => new CanvasSurface(element) });
  if (forced === "canvas") return plain("Drawn without the graphics card, as set in this browser");
  try {
    const core = await import("@cornerstonejs/core");
    const { webgl, softwareRasterizer } = core.getRenderingCapabilities();
    if (!webgl) return plain("Drawn without a graphics card: this browser offers no WebGL");
    if (softwareRasterizer && forced !== "gpu") return plain("Drawn without a graphics card: this browser has none to use");
    const { GpuSurface } = await import("./gpu");
    return { kind: "gpu", why: "", make: (element) => new GpuSurface(element) };
  } catch {
    return plain("Drawn without the graphics card: its engine did not start");
  }
}
