import type { Surface } from "./surface";

export interface Choice {
  kind: Surface["kind"];
  /** Said on the screen where it is not the usual way. */
  why: string;
  make(element: HTMLDivElement): Surface;
}

const EMULATED = /swiftshader|llvmpipe|softpipe|software|basic render/i;

/** The name of what draws WebGL 2 here; null where nothing does. Asked before the large engine is loaded. */
function rasterizer(): string | null {
  const gl = document.createElement("canvas").getContext("webgl2");
  if (!gl) return null;
  const facts = gl.getExtension("WEBGL_debug_renderer_info");
  const name = String(gl.getParameter(facts ? facts.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return name;
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
  const card = rasterizer();
  if (card === null) return plain("Drawn without a graphics card: this browser offers no WebGL");
  if (EMULATED.test(card) && forced !== "gpu")
    return plain("Drawn without a graphics card: this browser has none to use");
  try {
    const { GpuSurface } = await import("./gpu");
    return { kind: "gpu", why: "", make: (element) => new GpuSurface(element) };
  } catch {
    return plain("Drawn without the graphics card: its engine did not start");
  }
}
