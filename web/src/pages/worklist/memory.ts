/** The list as it was left, so that coming back from a study finds it there. Only in this tab's memory: it may hold names. */
export const memory = { search: "", study: "", scroll: 0 };

/** Return the address of the worklist as it was left. */
export function worklistAddress(): string {
  return memory.search ? `/worklist?${memory.search}` : "/worklist";
}
