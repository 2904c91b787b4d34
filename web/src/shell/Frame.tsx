import { Suspense, useState } from "react";
import { NavLink, Outlet, useLocation } from "react-router";
import { usePerformable } from "../actions/usePerformable";
import { useLiveConnection, useLiveState } from "../api/live";
import { useSession } from "../api/queries";
import { EmergencyBanner } from "../intake/EmergencyBanner";
import { useTotals } from "../pages/alarms/useTotals";
import { countWords } from "../pages/patient/severity";
import { worklistAddress } from "../pages/worklist/memory";
import { Caution } from "./Banner";
import { Button, IconButton } from "./Button";
import { ErrorBoundary } from "./ErrorBoundary";
import styles from "./Frame.module.css";
import { personName } from "./format";
import { Help } from "./Help";
import { Keyboard, Moon, Person, Search, Sun } from "./icons";
import { Menu } from "./Menu";
import { Palette } from "./Palette";
import { Loading } from "./states";
import { Toasts } from "./toast";
import { useShellActions } from "./useShellActions";

// An administrator who does not read sees no patients.
const PAGES = [
  { to: "/worklist", title: "Worklist", roles: ["reader", "viewer"] },
  { to: "/patients", title: "Patients", roles: ["reader", "viewer"] },
  { to: "/alarms", title: "Alarms", roles: ["reader", "viewer", "admin"] },
  { to: "/intakes", title: "Intakes", roles: ["reader", "viewer"] },
  { to: "/literature", title: "Literature", roles: ["reader", "viewer", "admin"] },
  { to: "/agreement", title: "Agreement", roles: ["reader", "viewer", "admin"] },
  { to: "/models", title: "Models", roles: ["reader", "viewer", "admin"] },
  { to: "/audit", title: "Audit", roles: ["admin"] },
  { to: "/settings", title: "Settings", roles: ["reader", "viewer", "admin"] },
];

/** The frame of every page after signing in: bar, banner, page, messages, palette and help. */
export function Frame() {
  const { data: session } = useSession();
  const [palette, setPalette] = useState(false);
  const [help, setHelp] = useState(false);
  const theme = useShellActions({ openPalette: () => setPalette(true), openHelp: () => setHelp(true) });
  useLiveConnection();
  const location = useLocation();
  const user = session?.user;
  const roles = user?.role.split("+") ?? [];
  return (
    <div className={styles.frame}>
      <a className={styles.skip} href="#page">
        Skip to the page
      </a>
      <header className={styles.bar}>
        <span className={styles.brand}>Aris</span>
        <nav className={styles.nav} aria-label="Pages">
          {PAGES.filter((page) => page.roles.some((role) => roles.includes(role))).map((page) => (
            <NavLink key={page.to} to={page.to === "/worklist" ? worklistAddress() : page.to} className={styles.link}>
              {page.title}
              {page.to === "/alarms" && <AlarmCount looks={roles.some((role) => role !== "admin")} />}
            </NavLink>
          ))}
        </nav>
        <div className={styles.tools}>
          <Offline />
          <Button size="small" kind="ghost" onPress={() => setPalette(true)}>
            <Search /> Actions
            <PaletteKeys />
          </Button>
          <IconButton label="Show the keys" size="small" onPress={() => setHelp(true)}>
            <Keyboard />
          </IconButton>
          <IconButton
            label={theme.now === "dark" ? "Change to the light theme" : "Change to the dark theme"}
            size="small"
            onPress={theme.change}
          >
            {theme.now === "dark" ? <Sun /> : <Moon />}
          </IconButton>
          {user && (
            <Menu
              label="Account"
              trigger={
                <Button size="small" kind="ghost">
                  <Person /> <span className={styles.name}>{personName(user.name) || user.login}</span>
                </Button>
              }
              entries={[
                { id: "account", label: `Account (${user.role.replace("+", " and ")})`, run: theme.account },
                { id: "keys", label: "Keys and mouse", run: theme.keys },
                "-",
                { id: "signout", label: "Sign out", run: theme.signOut },
              ]}
            />
          )}
        </div>
      </header>
      <Caution text={session?.model?.caution ?? ""} />
      <EmergencyBanner />
      <main id="page" className={styles.page} tabIndex={-1}>
        <ErrorBoundary key={location.pathname.split("/")[1]}>
          <Suspense fallback={<Loading />}>
            <Outlet />
          </Suspense>
        </ErrorBoundary>
      </main>
      <Toasts />
      <Palette isOpen={palette} onClose={() => setPalette(false)} />
      <Help isOpen={help} onClose={() => setHelp(false)} />
    </div>
  );
}

/** How many alarms wait: the number of critical ones is said before that of all. */
function AlarmCount({ looks }: { looks: boolean }) {
  const counts = useTotals(looks);
  const all = counts ? counts.critical + counts.warning + counts.info : 0;
  if (!counts || all === 0) return null;
  return (
    <span className={`${styles.count} ${counts.critical > 0 ? styles.loud : ""}`} title={countWords(counts)}>
      {counts.critical > 0 ? counts.critical : all}
      <span className={styles.hidden}> {countWords(counts)} open</span>
    </span>
  );
}

function PaletteKeys() {
  const { chord } = usePerformable("palette");
  return chord ? <span className={styles.chord}>{chord.replace("+", " ")}</span> : null;
}

function Offline() {
  const state = useLiveState();
  if (state !== "waiting") return null;
  return (
    <span className={styles.offline} role="status">
      No connection; trying again
    </span>
  );
}
