import type { ReactNode } from "react";
import { Tabs as AriaTabs, Tab, TabList, TabPanel } from "react-aria-components";
import styles from "./Tabs.module.css";

export interface TabSpec {
  id: string;
  label: ReactNode;
  content: ReactNode;
}

/** Tabs with their panels; only the chosen panel is in the page. `vertical`: a list of sections at the left, as in settings. */
export function Tabs({
  label,
  tabs,
  selected,
  onSelect,
  vertical = false,
}: {
  label: string;
  tabs: TabSpec[];
  selected?: string;
  onSelect?: (id: string) => void;
  vertical?: boolean;
}) {
  return (
    <AriaTabs
      className={styles.tabs ?? ""}
      orientation={vertical ? "vertical" : "horizontal"}
      {...(selected === undefined ? {} : { selectedKey: selected })}
      onSelectionChange={(key) => onSelect?.(String(key))}
    >
      <TabList aria-label={label} className={styles.list ?? ""}>
        {tabs.map((tab) => (
          <Tab key={tab.id} id={tab.id} className={styles.tab ?? ""}>
            {tab.label}
          </Tab>
        ))}
      </TabList>
      {tabs.map((tab) => (
        <TabPanel key={tab.id} id={tab.id} className={styles.panel ?? ""}>
          {tab.content}
        </TabPanel>
      ))}
    </AriaTabs>
  );
}
