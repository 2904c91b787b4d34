import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { ApiError, api, setCsrf } from "../../api/client";
import { keys } from "../../api/queries";
import type { Session, SignIn } from "../../api/types";

/** Signs in and keeps the session; the error is in words for a person. */
export function useSignIn() {
  const queries = useQueryClient();
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const signIn = async (body: SignIn): Promise<Session | null> => {
    setBusy(true);
    setError("");
    try {
      const session = await api.post<Session>("/api/session", body);
      setCsrf(session.csrf);
      queries.setQueryData(keys.session, session);
      return session;
    } catch (failed) {
      const wrong = failed instanceof ApiError && failed.status === 401;
      setError(wrong ? "The name or the password is not right." : failed instanceof Error ? failed.message : "");
      return null;
    } finally {
      setBusy(false);
    }
  };
  return { signIn, error, busy };
}

/** Return where to go after signing in: an address of this workspace, never another one's. */
export function safeNext(next: string | null): string {
  if (!next?.startsWith("/") || next.startsWith("//") || next.includes("\\") || /^\/(signin|setup|api)\b/.test(next))
    return "/";
  return next;
}
