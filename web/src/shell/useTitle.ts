import { useEffect } from "react";

/** Set the title of the window; never with a patient's name: it shows in lists of windows and in the history. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title ? `${title} · Aris` : "Aris";
  }, [title]);
}
