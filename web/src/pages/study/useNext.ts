import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef } from "react";
import { useNavigate } from "react-router";
import { api, words } from "../../api/client";
import { useSession } from "../../api/queries";
import type { WorklistPage } from "../../api/types";
import { toast } from "../../shell/toast";
import { prefetch } from "../../viewer";

/** The worklist's first studies that nobody else has open. */
async function first(login: string, without: ReadonlySet<string>): Promise<string | null> {
  const page = await api.get<WorklistPage>("/api/worklist", { sort: "priority", limit: 20 });
  const free = page.entries.filter((each) => !without.has(each.study) && (!each.opened_by || each.opened_by === login));
  // A study that still arrives comes when it is whole.
  return (free.find((each) => each.state !== "arrived") ?? free[0])?.study ?? null;
}

/** Go to the study that comes next, without loading the page anew; its images are fetched ahead. */
export function useNext(uid: string, ready: boolean): () => Promise<void> {
  const { data: session } = useSession();
  const login = session?.user?.login ?? "";
  const queries = useQueryClient();
  const navigate = useNavigate();
  // Passed over in this sitting: "next" goes on, not back and forth.
  const passed = useRef(new Set<string>());
  passed.current.add(uid);
  useEffect(() => {
    if (!ready) return;
    let over = false;
    void first(login, passed.current).then(
      (next) => {
        if (!over && next) void prefetch(next);
      },
      () => undefined,
    );
    return () => {
      over = true;
    };
  }, [ready, login]);
  return useCallback(async () => {
    try {
      const next = await first(login, passed.current);
      if (next === null) {
        passed.current.clear();
        toast("That was the last study of the list.");
        await navigate("/worklist");
      } else await navigate(`/study/${encodeURIComponent(next)}`);
    } catch (error) {
      toast(words(error), { tone: "error" });
    }
    void queries.invalidateQueries({ queryKey: ["/api/worklist"] });
  }, [login, navigate, queries]);
}
