import { useEffect, useRef } from "react";
import type { Overlay } from "../../viewer/types";

/** What the window with the report tells the window with the images. No patient data: a study is named by its UID. */
export type Told =
  | { type: "study"; study: string }
  | { type: "overlay"; study: string; overlay: Overlay }
  | { type: "hello" };

const NAME = "aris-images";

/** Talk with the other window: returns the way to tell it something. */
export function useChannel(heard: (told: Told) => void): (told: Told) => void {
  const latest = useRef(heard);
  latest.current = heard;
  const channel = useRef<BroadcastChannel | null>(null);
  useEffect(() => {
    if (typeof BroadcastChannel === "undefined") return;
    const made = new BroadcastChannel(NAME);
    made.onmessage = (event: MessageEvent<Told>) => {
      if (typeof event.data === "object" && event.data !== null && "type" in event.data) latest.current(event.data);
    };
    channel.current = made;
    return () => {
      channel.current = null;
      made.close();
    };
  }, []);
  const tell = useRef((told: Told) => channel.current?.postMessage(told));
  return tell.current;
}
