import type { PatientRecord } from "../../api/types";
import { PatientIntakes } from "../../intake/PatientIntakes";

/** Intake conversations of this patient, by the record's first identifier. */
export function IntakeList({ record }: { record: PatientRecord }) {
  const own = record.identifiers[0];
  if (!own) return null;
  return <PatientIntakes identifier={own.value} issuer={own.issuer} birthDate={record.birth_date} name={record.name} />;
}
