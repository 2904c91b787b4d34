import type { Action } from "../registry";

/** What can be done on every page. */
export const actions: Action[] = [
  { id: "palette", title: "Search all actions", context: "anywhere", keys: ["Ctrl+K"] },
  { id: "help", title: "Show the keys", context: "anywhere", keys: ["?"], words: "shortcuts help" },
  { id: "go.worklist", title: "Go to the worklist", context: "anywhere", keys: ["Alt+W"] },
  { id: "go.intakes", title: "Go to the intakes", context: "anywhere", keys: ["Alt+U"], words: "questions triage" },
  {
    id: "go.literature",
    title: "Go to the literature",
    context: "anywhere",
    keys: ["Alt+T"],
    words: "papers evidence",
  },
  { id: "go.models", title: "Go to the models", context: "anywhere", keys: ["Alt+M"] },
  { id: "go.agreement", title: "Go to agreement", context: "anywhere", keys: ["Alt+G"], words: "verdicts watch" },
  { id: "go.audit", title: "Go to the audit trail", context: "anywhere", keys: ["Alt+A"] },
  { id: "go.settings", title: "Go to the settings", context: "anywhere", keys: ["Alt+S"] },
  { id: "theme", title: "Change between light and dark", context: "anywhere", keys: ["Alt+L"], words: "theme colours" },
  { id: "signout", title: "Sign out", context: "anywhere", keys: [] },
];
