import type { Graphic, Measured, NewMeasurement, Preferences, Region, SeriesInfo } from "../api/types";
import { day } from "../shell/format";

/** What lies over the images: the draft's regions, a heat map, graphics of others. Each is drawn on its own image only. */
export interface Overlay {
  regions: Region[];
  /** Label of the regions that are lit now (a finding or sentence hovered in the report); null: none. */
  lit: string | null;
  /** A map of evidence over one image: `source` is a path on this server, a data URL or bare base64 of a PNG. */
  map: { image: string; frame: number | null; source: string } | null;
  /** 0 to 1. */
  opacity: number;
  /** GSPS graphics and SR measurements of others: read-only. Without it the viewer asks the server itself. */
  graphics?: Graphic[];
}

/** An earlier study, shown beside this one. */
export interface PriorImages {
  study: string;
  date: string;
  description: string;
  series: SeriesInfo[];
  /** false: it is not sure that it is the same patient's; said on every image of it. */
  certain?: boolean;
}

/** What an earlier study is called on the screen; "possible" where it is not sure that it is the same patient's. */
export function priorWords({ date, certain }: Pick<PriorImages, "date" | "certain">): string {
  return `${certain === false ? "Possible prior" : "Prior"} ${day(date) || "without a date"}`;
}

/** What was looked at: the current study's images that have been on the screen, of all. */
export interface Seen {
  images: number;
  of: number;
}

export interface ViewerProps {
  study: string;
  series: SeriesInfo[];
  measurements: Measured[];
  overlay?: Overlay;
  /** Shown in a corner; left out in screenshot mode. */
  patient?: { name: string; identifier: string; birth_date: string; date: string };
  prior?: PriorImages | null;
  onClosePrior?(): void;
  /** Saves at once; a rejected promise is shown beside the measurement with "try again". Without it nothing can be drawn (a viewer's role). */
  onMeasure?(measurement: NewMeasurement): Promise<Measured | null>;
  onRemoveMeasurement?(id: number): Promise<void>;
  onSeen?(seen: Seen): void;
  /** The image that is on the screen in the active pane. */
  onImage?(image: string, frame: number): void;
  /** A region was clicked or hovered on the image: the report lights its sentence. */
  onRegion?(region: Region | null): void;
  mouse?: Preferences["mouse"];
  /** Chords as the user has them, for the tool tips: action id -> chord. */
  keys?: Preferences["keys"];
}

export interface ViewerHandle {
  showImage(image: string, frame?: number | null): void;
  setOverlay(overlay: Overlay | null): void;
  reset(): void;
  /** Does one of `viewerActions`; false: unknown here, or not possible now. */
  runAction(id: string): boolean;
  focus(): void;
}

/** A command of the viewer as data, for the registry of actions: `key` is a default chord that users may change. */
export interface ViewerAction {
  id: string;
  name: string;
  group: string;
  key: string;
}

/** Values of one image as the server sends them. */
export type Pixels = Uint8Array | Int16Array | Uint16Array | Float32Array;
