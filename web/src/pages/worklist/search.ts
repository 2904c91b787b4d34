import type { Query } from "../../api/client";
import type { State } from "../../api/types";
import { STATE_ORDER } from "../../shell/Badge";

export const SORTS = ["priority", "arrived", "patient", "date", "modality", "state"] as const;
export type Sort = (typeof SORTS)[number];

/** What of the worklist is shown: all of it is in the page's address. */
export interface WorklistSearch {
  states: State[];
  text: string;
  modality: string;
  sort: Sort;
  reverse: boolean;
}

/** Return the search that an address holds; unknown words in it are passed over. */
export function parse(params: URLSearchParams): WorklistSearch {
  const sort = SORTS.find((one) => one === params.get("sort")) ?? "priority";
  return {
    states: STATE_ORDER.filter((state) => params.getAll("state").includes(state)),
    text: params.get("text") ?? "",
    modality: params.get("modality") ?? "",
    sort,
    reverse: params.get("reverse") === "1",
  };
}

/** Return the address's query of a search; defaults are left out, so that one search has one address. */
export function write(search: WorklistSearch): URLSearchParams {
  const params = new URLSearchParams();
  for (const state of STATE_ORDER) if (search.states.includes(state)) params.append("state", state);
  if (search.text.trim()) params.set("text", search.text.trim());
  if (search.modality) params.set("modality", search.modality);
  if (search.sort !== "priority") params.set("sort", search.sort);
  if (search.reverse) params.set("reverse", "1");
  return params;
}

/** Return what the server is asked. */
export function query(search: WorklistSearch, offset: number, limit: number): Query {
  return {
    state: search.states,
    text: search.text.trim(),
    modality: search.modality,
    sort: search.sort,
    reverse: search.reverse ? "true" : "",
    offset,
    limit,
  };
}

/** Return whether anything narrows the list. */
export function narrowed(search: WorklistSearch): boolean {
  return search.states.length > 0 || search.text.trim() !== "" || search.modality !== "";
}
