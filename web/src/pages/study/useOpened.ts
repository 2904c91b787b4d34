import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { api, at } from "../../api/client";
import { keys, useSession } from "../../api/queries";
import type { Study } from "../../api/types";
import { Opening } from "./opening";

// What this window has open.
const opening = new Opening();

/** A study, opened by whoever may read it: a reader acquires it, a viewer looks. */
export function useOpened(uid: string) {
  const queries = useQueryClient();
  const { data: session } = useSession();
  const reader = session?.user?.role.includes("reader") ?? false;
  useEffect(() => () => opening.left(uid), [uid]);
  return useQuery<Study>({
    queryKey: keys.study(uid),
    queryFn: async ({ signal }) => {
      if (!reader) return api.get<Study>(at("studies", uid), undefined, signal);
      const before = opening.has(uid);
      const study = await opening.study(uid, signal);
      if (!before) void queries.invalidateQueries({ queryKey: ["/api/worklist"] });
      return study;
    },
    // What the list or a prefetch has looked at is not opened yet.
    refetchOnMount: "always",
    enabled: session !== undefined,
  });
}

/** Whether the study that is cached was opened by this window. */
export function isOpened(uid: string): boolean {
  return opening.has(uid);
}
