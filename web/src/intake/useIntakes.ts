import { useQueryClient } from "@tanstack/react-query";
import { useLive } from "../api/live";

/** Ask again for every intake that is shown when something happens to one. */
export function useLiveIntakes(): void {
  const queries = useQueryClient();
  useLive(({ event }) => {
    if (event !== "intake") return;
    void queries.invalidateQueries({
      predicate: ({ queryKey }) =>
        typeof queryKey[0] === "string" && /^\/api\/(intakes|studies\/.*\/intakes)/.test(queryKey[0]),
    });
  });
}
