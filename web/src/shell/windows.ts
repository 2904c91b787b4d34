import { useEffect } from "react";
import { useNavigate } from "react-router";

const NAME = "aris-second";

function channel(): BroadcastChannel | null {
  return typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("aris-windows");
}

/** Show a page in the second window: the list stays here, the images are there. A window that is open already goes there
 *  without loading anew. */
export function showInSecondWindow(path: string): void {
  const talk = channel();
  if (!talk) {
    window.open(path, NAME);
    return;
  }
  let answered = false;
  talk.onmessage = ({ data }) => {
    if (data?.shown === path) answered = true;
  };
  talk.postMessage({ show: path });
  setTimeout(() => {
    talk.close();
    if (!answered) window.open(path, NAME, "popup");
  }, 150);
}

/** Let this window be told by the list what to show, if it is the second one. */
export function useSecondWindow(): void {
  const navigate = useNavigate();
  useEffect(() => {
    if (window.name !== NAME) return;
    const talk = channel();
    if (!talk) return;
    talk.onmessage = ({ data }) => {
      if (typeof data?.show !== "string" || !data.show.startsWith("/study/")) return;
      talk.postMessage({ shown: data.show });
      void navigate(data.show);
    };
    return () => talk.close();
  }, [navigate]);
}

/** Return whether this is the second window. */
export function isSecondWindow(): boolean {
  return window.name === NAME;
}
