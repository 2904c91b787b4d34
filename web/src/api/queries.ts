import { QueryClient, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback } from "react";
import { ApiError, api, at, type Query, setCsrf } from "./client";
import type { Preferences, Session, Study } from "./types";

/** The keys of cached answers: the path, then its query. `queries.invalidateQueries({queryKey: keys.study(uid)})` covers all below it. */
export const keys = {
  session: ["session"] as const,
  preferences: ["preferences"] as const,
  study: (uid: string) => [at("studies"), uid] as const,
};

/** Make the cache of answers: a refusal (4xx) is never tried again by itself, a cut twice. */
export function createQueries(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 10_000,
        refetchOnWindowFocus: false,
        retry: (failures, error) =>
          failures < 2 && !(error instanceof ApiError && error.status >= 400 && error.status < 500),
      },
      mutations: { retry: false },
    },
  });
}

/** Ask for anything: `useGet<Template[]>(at("templates"))`. `enabled` false: not yet. */
export function useGet<T>(path: string, query: Query = {}, options: { enabled?: boolean; staleTime?: number } = {}) {
  return useQuery<T>({
    queryKey: [path, query],
    queryFn: ({ signal }) => api.get<T>(path, query, signal),
    ...options,
  });
}

/** Who is here. Its CSRF token is handed to the client. */
export function useSession() {
  return useQuery<Session>({
    queryKey: keys.session,
    queryFn: async ({ signal }) => {
      const session = await api.get<Session>("/api/session", undefined, signal);
      setCsrf(session.csrf);
      return session;
    },
    staleTime: 60_000,
    // What the model is, and whom it must not serve, is known only when it has loaded.
    refetchInterval: ({ state }) => (state.data?.user && state.data.model_state === "loading" ? 3_000 : false),
  });
}

/** One study, looked at and not opened. */
export function useStudy(uid: string, options: { enabled?: boolean } = {}) {
  return useQuery<Study>({
    queryKey: keys.study(uid),
    queryFn: ({ signal }) => api.get<Study>(at("studies", uid), undefined, signal),
    ...options,
  });
}

/** The signed-in user's preferences, and the way to change some of them: shown at once, saved behind. */
export function usePreferences(): [Preferences, (change: Partial<Preferences>) => Promise<void>] {
  const queries = useQueryClient();
  const signedIn = Boolean(useSession().data?.user);
  const { data } = useQuery<Preferences>({
    queryKey: keys.preferences,
    queryFn: ({ signal }) => api.get<Preferences>("/api/preferences", undefined, signal),
    staleTime: Number.POSITIVE_INFINITY,
    enabled: signedIn,
  });
  const save = useMutation({
    // One after the other: two quick changes must not arrive in the wrong order.
    scope: { id: "preferences" },
    mutationFn: () => api.put<Preferences>("/api/preferences", queries.getQueryData(keys.preferences)),
  });
  const { mutateAsync } = save;
  const change = useCallback(
    async (some: Partial<Preferences>) => {
      // Without the stored ones a save would lose them: they are asked for first.
      if (!queries.getQueryData(keys.preferences))
        await queries.fetchQuery({
          queryKey: keys.preferences,
          queryFn: () => api.get<Preferences>("/api/preferences"),
        });
      const before = queries.getQueryData<Preferences>(keys.preferences);
      queries.setQueryData<Preferences>(keys.preferences, (old) => ({ ...old, ...some }));
      try {
        await mutateAsync();
      } catch (error) {
        queries.setQueryData(keys.preferences, before);
        throw error;
      }
    },
    [queries, mutateAsync],
  );
  return [data ?? {}, change];
}
