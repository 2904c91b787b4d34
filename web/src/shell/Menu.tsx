import type { ReactNode } from "react";
import { Menu as AriaMenu, MenuItem as AriaMenuItem, MenuTrigger, Popover, Separator } from "react-aria-components";
import { Keys } from "./Keys";
import styles from "./Menu.module.css";

export interface MenuEntry {
  id: string;
  label: string;
  chord?: string;
  run: () => void;
  danger?: boolean;
  isDisabled?: boolean;
}

/** A button that opens a menu: `trigger` is a Button; `"-"` is a line between groups. */
export function Menu({ trigger, label, entries }: { trigger: ReactNode; label: string; entries: (MenuEntry | "-")[] }) {
  return (
    <MenuTrigger>
      {trigger}
      <Popover className={styles.popover ?? ""} placement="bottom end">
        <AriaMenu className={styles.menu ?? ""} aria-label={label}>
          {entries.map((entry, index) =>
            entry === "-" ? (
              // biome-ignore lint/suspicious/noArrayIndexKey: a line has nothing else to be known by
              <Separator key={index} className={styles.line ?? ""} />
            ) : (
              <AriaMenuItem
                key={entry.id}
                id={entry.id}
                textValue={entry.label}
                isDisabled={entry.isDisabled}
                onAction={entry.run}
                className={`${styles.item} ${entry.danger ? styles.danger : ""}`}
              >
                <span>{entry.label}</span>
                {entry.chord && <Keys chord={entry.chord} quiet />}
              </AriaMenuItem>
            ),
          )}
        </AriaMenu>
      </Popover>
    </MenuTrigger>
  );
}
