import { useEffect } from "react";
import { preload } from "../../viewer";

// The list comes first.
const REST_MS = 1500;

/** Load the study page's code while the list is read: whoever opens the first study does not wait for it. */
export function useStudyAhead(): void {
  useEffect(() => {
    const timer = setTimeout(() => {
      // What fails here is loaded, or said, when it is needed.
      void Promise.all([import("../study/Study"), preload()]).catch(() => undefined);
    }, REST_MS);
    return () => clearTimeout(timer);
  }, []);
}
