import type { Query } from "../../api/client";
import type { Entry, State } from "../../api/types";
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

const OPEN: readonly State[] = ["arrived", "settled", "drafted", "opened", "preliminary"];

/** Return whether a study stands in the list of a search, by the server's own rules. */
export function fits(search: WorklistSearch, entry: Entry): boolean {
  const states = search.states.length > 0 ? search.states : OPEN;
  const all = states.length === OPEN.length && OPEN.every((state) => states.includes(state));
  if (!states.includes(entry.state) && !(all && (entry.notice !== "" || Boolean(entry.critical)))) return false;
  if (search.modality && !entry.modalities.includes(search.modality)) return false;
  const said = [entry.patient_name, entry.patient_id, entry.accession, entry.description].join("\n").toLowerCase();
  return search.text
    .toLowerCase()
    .split(/\s+/)
    .slice(0, 8)
    .every((word) => said.includes(word));
}

/** What a study's place in a sorted list follows from; the same text: the same place. */
export function placeOf(sort: Sort, entry: Entry): string {
  if (sort === "priority") return `${entry.urgency} ${entry.concern} ${entry.arrived_at}`;
  if (sort === "patient") return entry.patient_name;
  if (sort === "date") return `${entry.date} ${entry.time}`;
  if (sort === "modality") return entry.modalities.join();
  return sort === "state" ? entry.state : entry.arrived_at;
}
