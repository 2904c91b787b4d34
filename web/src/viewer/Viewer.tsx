import type { Ref } from "react";
import type { ViewerHandle, ViewerProps } from "./types";

/** Shows a study's images. */
export function Viewer({ series }: ViewerProps & { ref?: Ref<ViewerHandle> }) {
  return <section aria-label="Images">{series.length === 0 ? "No images." : null}</section>;
}
