import type { PatientRecord } from "../../api/types";

/** Intake conversations of this patient, where the site has them. */
export function IntakeList(_: { record: PatientRecord }) {
  return null;
}
