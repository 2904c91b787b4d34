import { useQueryClient } from "@tanstack/react-query";
import { useCallback } from "react";
import { api, at } from "../../api/client";
import { keys } from "../../api/queries";
import type { Measured, NewMeasurement, Study } from "../../api/types";

/** How the viewer saves what was measured; nothing where the user may not write. */
export function useMeasuring(study: Study | null) {
  const queries = useQueryClient();
  const uid = study?.study ?? "";
  const refresh = useCallback(() => queries.invalidateQueries({ queryKey: keys.study(uid) }), [queries, uid]);
  const onMeasure = useCallback(
    async (measurement: NewMeasurement) => {
      const made = await api.post<Measured>(at("studies", uid, "measurements"), measurement);
      void refresh();
      return made;
    },
    [uid, refresh],
  );
  const onRemoveMeasurement = useCallback(
    async (id: number) => {
      await api.remove(at("studies", uid, "measurements", id));
      void refresh();
    },
    [uid, refresh],
  );
  return study?.may.edit ? { onMeasure, onRemoveMeasurement } : {};
}
