import { useMemo, useState } from "react";
import {
  Autocomplete,
  Dialog,
  Input,
  Menu,
  MenuItem,
  Modal,
  ModalOverlay,
  SearchField,
  useFilter,
} from "react-aria-components";
import { type Action, CATALOGUE, chordsOf, perform, useOffered } from "../actions/registry";
import { usePreferences } from "../api/queries";
import { Keys } from "./Keys";
import styles from "./Palette.module.css";

const PLACE: Record<Action["context"], string> = {
  anywhere: "",
  worklist: "Worklist",
  study: "Study",
  viewer: "Images",
  editor: "Report text",
  report: "Report",
  patients: "Patients",
  patient: "Patient",
  alarms: "Alarms",
};

/** Every action that can be done now, found by its words. */
export function Palette({ isOpen, onClose }: { isOpen: boolean; onClose: () => void }) {
  return (
    <ModalOverlay
      isOpen={isOpen}
      onOpenChange={(open) => !open && onClose()}
      isDismissable
      className={styles.overlay ?? ""}
      data-aris-modal=""
    >
      <Modal className={styles.modal ?? ""}>
        <Dialog aria-label="Actions" className={styles.dialog ?? ""}>
          <Choices onClose={onClose} />
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}

function Choices({ onClose }: { onClose: () => void }) {
  const offered = useOffered();
  const [preferences] = usePreferences();
  const [text, setText] = useState("");
  const { contains } = useFilter({ sensitivity: "base" });
  const actions = useMemo(
    () =>
      offered
        .map((id) => CATALOGUE.get(id))
        .filter((action): action is Action => action !== undefined && action.id !== "palette")
        // What belongs to this page comes first.
        .sort(
          (a, b) =>
            Number(a.context === "anywhere") - Number(b.context === "anywhere") || a.title.localeCompare(b.title),
        ),
    [offered],
  );
  const every = (value: string) =>
    text
      .trim()
      .split(/\s+/)
      .every((word) => contains(value, word));
  const run = (id: string) => {
    onClose();
    // After the dialog has given the focus back: an action may move it.
    setTimeout(() => perform(id), 0);
  };
  return (
    <Autocomplete inputValue={text} onInputChange={setText} filter={every}>
      <SearchField aria-label="Search all actions" autoFocus className={styles.search ?? ""}>
        <Input placeholder="Search all actions" className={styles.input ?? ""} />
      </SearchField>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys */}
      <section className={styles.scroll} tabIndex={0} aria-label="Found actions">
        <Menu
          aria-label="Actions"
          className={styles.list ?? ""}
          onAction={(key) => run(String(key))}
          renderEmptyState={() => <p className={styles.none}>No action has these words here.</p>}
        >
          {actions.map((action) => (
            <MenuItem
              key={action.id}
              id={action.id}
              textValue={`${action.title} ${action.words ?? ""} ${PLACE[action.context]}`}
              className={styles.item ?? ""}
            >
              <span className={styles.title}>{action.title}</span>
              <span className={styles.place}>{PLACE[action.context]}</span>
              {chordsOf(action, preferences.keys).map((chord) => (
                <Keys key={chord} chord={chord} />
              ))}
            </MenuItem>
          ))}
        </Menu>
      </section>
    </Autocomplete>
  );
}
