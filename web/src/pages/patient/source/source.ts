import { createContext, useContext } from "react";

/** What the source pane shows: resources that are looked at in passing, or that were chosen to stay. */
export interface Source {
  ids: readonly string[];
  pinned: boolean;
  /** Look at resources in passing; a chosen one stays. */
  peek(ids: readonly string[]): void;
  /** Choose resources, so that they stay until they are closed. */
  pin(ids: readonly string[]): void;
  close(): void;
}

export const SourceContext = createContext<Source>({
  ids: [],
  pinned: false,
  peek: () => undefined,
  pin: () => undefined,
  close: () => undefined,
});

export function useSource(): Source {
  return useContext(SourceContext);
}
