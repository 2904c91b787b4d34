import { useQuery } from "@tanstack/react-query";
import { api } from "../../api/client";
import { useLive } from "../../api/live";
import type { AlarmTotals } from "../../api/types";

/** How many alarms are open, kept up to date; null while it is not known, or for who may not look. */
export function useTotals(enabled: boolean) {
  const { data, refetch } = useQuery({
    queryKey: ["/api/alarms/totals"],
    queryFn: ({ signal }) => api.get<AlarmTotals>("/api/alarms/totals", undefined, signal),
    enabled,
    // A snooze ends by itself.
    refetchInterval: 60_000,
    staleTime: 5_000,
  });
  useLive((event) => enabled && event.event === "alarm" && void refetch());
  return data?.counts ?? null;
}
