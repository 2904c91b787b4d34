import { useNavigate, useParams } from "react-router";
import { useSession } from "../../api/queries";
import { type TabSpec, Tabs } from "../../shell/Tabs";
import { useTitle } from "../../shell/useTitle";
import { Account } from "./Account";
import { Appearance } from "./Appearance";
import { Deliveries } from "./Deliveries";
import { KeysAndMouse } from "./keys/KeysAndMouse";
import { Macros } from "./Macros";
import { Reading } from "./Reading";
import styles from "./Settings.module.css";
import { SitePage } from "./Site";
import { Tokens } from "./tokens/Tokens";
import { Users } from "./users/Users";

/** One's own settings, and for administrators those of the site. The section is in the address. */
export default function Settings() {
  useTitle("Settings");
  const { section } = useParams();
  const navigate = useNavigate();
  const role = useSession().data?.user?.role ?? "viewer";
  const tabs: TabSpec[] = [
    { id: "account", label: "Account", content: <Account /> },
    { id: "appearance", label: "Appearance", content: <Appearance /> },
    { id: "reading", label: "Reading", content: <Reading /> },
    { id: "keys", label: "Keys and mouse", content: <KeysAndMouse /> },
    { id: "macros", label: "Macros", content: <Macros /> },
    { id: "tokens", label: "API tokens", content: <Tokens /> },
    { id: "deliveries", label: "Deliveries", content: <Deliveries /> },
  ];
  if (role.includes("admin"))
    tabs.push(
      { id: "users", label: "Users", content: <Users /> },
      { id: "site", label: "Site and services", content: <SitePage /> },
    );
  const selected = tabs.some((tab) => tab.id === section) ? section : "account";
  return (
    <div className={styles.settings}>
      <h1 className={styles.title}>Settings</h1>
      <Tabs
        label="Settings"
        vertical
        tabs={tabs}
        selected={selected}
        onSelect={(id) => void navigate(`/settings/${id}`, { replace: true })}
      />
    </div>
  );
}
