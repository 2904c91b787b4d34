import type { Alarm, Severity } from "../../api/types";

const RANK: Record<Severity, number> = { critical: 0, warning: 1, info: 2 };

export interface PatientAlarms {
  patient: number;
  name: string;
  birth_date: string;
  sex: string;
  severity: Severity;
  problems: { problem: string; alarms: Alarm[] }[];
}

/** Group alarms by patient and by problem, the most severe first, in the order that the server gave where they are equal. */
export function grouped(alarms: readonly Alarm[]): PatientAlarms[] {
  const patients = new Map<number, PatientAlarms>();
  for (const alarm of alarms) {
    const { patient, name, birth_date, sex, severity } = alarm;
    const group = patients.get(patient) ?? { patient, name, birth_date, sex, severity, problems: [] };
    patients.set(patient, group);
    if (RANK[severity] < RANK[group.severity]) group.severity = severity;
    const known = group.problems.find((each) => each.problem === alarm.problem);
    if (known) known.alarms.push(alarm);
    else group.problems.push({ problem: alarm.problem, alarms: [alarm] });
  }
  const made = [...patients.values()];
  for (const each of made) each.problems.sort((a, b) => worst(a.alarms) - worst(b.alarms));
  return made.sort((a, b) => RANK[a.severity] - RANK[b.severity]);
}

function worst(alarms: readonly Alarm[]): number {
  return Math.min(...alarms.map((each) => RANK[each.severity]));
}

/** Return the alarms in the order in which they stand on the page. */
export function inOrder(groups: readonly PatientAlarms[]): Alarm[] {
  return groups.flatMap((each) => each.problems.flatMap((problem) => problem.alarms));
}
