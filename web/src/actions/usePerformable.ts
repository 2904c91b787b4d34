import { usePreferences } from "../api/queries";
import { CATALOGUE, chordsOf, perform, useOffered } from "./registry";

/** Return whether an action can be done now, the way to do it and its first chord. */
export function usePerformable(id: string): { can: boolean; run: () => void; chord: string } {
  const [preferences] = usePreferences();
  const can = useOffered().includes(id);
  const action = CATALOGUE.get(id);
  return { can, run: () => void perform(id), chord: action ? (chordsOf(action, preferences.keys)[0] ?? "") : "" };
}
