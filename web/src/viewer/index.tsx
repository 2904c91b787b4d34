import { lazy } from "react";

export { viewerActions } from "./actions";
export type { Overlay, PriorImages, Seen, ViewerAction, ViewerHandle, ViewerProps } from "./types";

const load = () => import("./Viewer");

/** Load the viewer and what draws for it ahead, while nobody waits for it. */
export async function preload(): Promise<void> {
  await (await load()).warm();
}

/** The image viewer, loaded when first shown (its engine is large): put it inside a `Suspense`. */
export const Viewer = lazy(() => load().then(({ Viewer }) => ({ default: Viewer })));

/** Loads the first images of the study that comes next, behind all that the study on the screen still wants. */
export async function prefetch(study: string): Promise<void> {
  await (await load()).prefetch(study);
}
