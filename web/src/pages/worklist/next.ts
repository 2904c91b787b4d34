import { api } from "../../api/client";
import type { Entry, WorklistPage } from "../../api/types";

/** Return the first study by priority that waits for a reader and that nobody else has open; null if there is none.
 *  `after` is passed over: the study that has just been read. */
export async function nextStudy(login: string, after = ""): Promise<Entry | null> {
  const page = await api.get<WorklistPage>("/api/worklist", {
    state: ["settled", "drafted", "opened"],
    sort: "priority",
    limit: 50,
  });
  return page.entries.find((entry) => entry.study !== after && (!entry.opened_by || entry.opened_by === login)) ?? null;
}
