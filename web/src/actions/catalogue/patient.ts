import type { Action } from "../registry";

/** What can be done at a patient's record, in the list of patients and at the alarms. */
export const actions: Action[] = [
  { id: "go.patients", title: "Go to the patients", context: "anywhere", keys: ["Alt+P"], words: "records" },
  { id: "go.alarms", title: "Go to the alarms", context: "anywhere", keys: ["Alt+J"], words: "monitor watch flags" },
  { id: "patient.summary", title: "Show the summary", context: "patient", keys: ["1"] },
  { id: "patient.timeline", title: "Show the timeline", context: "patient", keys: ["2"] },
  { id: "patient.trends", title: "Show the trends", context: "patient", keys: ["3"], words: "plots results labs" },
  { id: "patient.flags", title: "Show the flags of the rules", context: "patient", keys: ["4"], words: "monitor" },
  { id: "patient.ask", title: "Ask about the record", context: "patient", keys: ["5"], words: "question" },
  { id: "patient.print", title: "Print the handoff", context: "patient", keys: ["P"], words: "i-pass paper" },
  { id: "patient.close", title: "Close the source", context: "patient", keys: ["Escape"] },
  { id: "patients.search", title: "Search the patients", context: "patients", keys: ["/"], words: "find" },
  { id: "patients.upload", title: "Upload a record", context: "patients", keys: ["U"], words: "import fhir bundle" },
  { id: "alarms.next", title: "Next alarm", context: "alarms", keys: ["J"], repeats: true },
  { id: "alarms.previous", title: "Previous alarm", context: "alarms", keys: ["K"], repeats: true },
  { id: "alarms.acknowledge", title: "Acknowledge the alarm", context: "alarms", keys: ["A"], words: "seen" },
  { id: "alarms.snooze", title: "Snooze the alarm", context: "alarms", keys: ["S"], words: "later" },
  { id: "alarms.close", title: "Close the alarm", context: "alarms", keys: ["C"] },
  { id: "alarms.patient", title: "Open the patient of the alarm", context: "alarms", keys: ["O"] },
];
