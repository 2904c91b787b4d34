import type { Action } from "../registry";

export const actions: Action[] = [
  {
    id: "worklist.next",
    title: "Open the next study by priority",
    context: "worklist",
    keys: ["N"],
    words: "next read",
  },
  { id: "worklist.search", title: "Search the worklist", context: "worklist", keys: ["/"], words: "find patient" },
  { id: "worklist.upload", title: "Upload images", context: "worklist", keys: ["U"], words: "import files dicom zip" },
  { id: "worklist.refresh", title: "Show new studies", context: "worklist", keys: ["R"], words: "reload refresh" },
  { id: "worklist.preview", title: "Show or hide the preview", context: "worklist", keys: ["P"], words: "panel" },
  {
    id: "worklist.beside",
    title: "Open the study in the second window",
    context: "worklist",
    keys: ["Shift+Enter"],
    words: "monitor screen",
  },
  { id: "worklist.clear", title: "Clear search and filters", context: "worklist", keys: ["X"] },
  { id: "worklist.save", title: "Save this search", context: "worklist", keys: ["S"], words: "filter" },
];
