import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { useNavigate } from "react-router";
import { listen } from "../actions/dispatch";
import { useActions } from "../actions/registry";
import { api } from "../api/client";
import { keys, usePreferences, useSession } from "../api/queries";
import type { Preferences } from "../api/types";
import { worklistAddress } from "../pages/worklist/memory";
import { shownTheme, showTheme, type Theme } from "./theme";
import { toastError } from "./toast";
import { useSecondWindow } from "./windows";

/** The actions of every page, the listening for keys, and the theme. */
export function useShellActions({ openPalette, openHelp }: { openPalette: () => void; openHelp: () => void }) {
  const navigate = useNavigate();
  const queries = useQueryClient();
  const { data: session } = useSession();
  const [preferences, change] = usePreferences();
  const [now, setNow] = useState<Theme>(shownTheme);
  useEffect(() => {
    // The computer may change it under an open page.
    const watch = new MutationObserver(() => setNow(shownTheme()));
    watch.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    setNow(shownTheme());
    return () => watch.disconnect();
  }, []);
  useEffect(() => {
    if (preferences.theme) showTheme(preferences.theme);
  }, [preferences.theme]);
  useEffect(() => listen(() => queries.getQueryData<Preferences>(keys.preferences)?.keys ?? {}), [queries]);
  useSecondWindow();

  const signOut = () => {
    api
      .remove("/api/session")
      // Nothing of a patient stays in the memory of the tab: the whole page is loaded anew.
      .then(() => window.location.assign("/signin"))
      .catch(toastError);
  };
  const changeTheme = () => {
    const theme = now === "dark" ? "light" : "dark";
    showTheme(theme);
    change({ theme }).catch(toastError);
  };
  const go = (to: string) => () => void navigate(to);
  const admin = session?.user?.role.includes("admin") ?? false;
  useActions({
    palette: openPalette,
    help: openHelp,
    theme: changeTheme,
    signout: signOut,
    "go.worklist": session?.user?.role !== "admin" && (() => void navigate(worklistAddress())),
    "go.patients": session?.user?.role !== "admin" && go("/patients"),
    "go.alarms": go("/alarms"),
    "go.intakes": session?.user?.role !== "admin" && go("/intakes"),
    "go.literature": go("/literature"),
    "go.models": go("/models"),
    "go.agreement": go("/agreement"),
    "go.audit": admin && go("/audit"),
    "go.settings": go("/settings"),
  });
  return { now, change: changeTheme, signOut, account: go("/settings/account"), keys: go("/settings/keys") };
}
