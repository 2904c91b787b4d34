import { memo, useEffect, useRef, useState } from "react";
import { ToggleButton } from "react-aria-components";
import { usePreferences } from "../../api/queries";
import type { State } from "../../api/types";
import { STATE_ORDER, stateWord } from "../../shell/Badge";
import { ActionButton, Button, IconButton } from "../../shell/Button";
import { Field, Select } from "../../shell/Field";
import { Panel, Star, Upload } from "../../shell/icons";
import { Menu, type MenuEntry } from "../../shell/Menu";
import { toastError } from "../../shell/toast";
import type { Rows } from "./rows";
import { SaveSearch } from "./SaveSearch";
import { type WorklistSearch, write } from "./search";
import styles from "./Toolbar.module.css";

interface ToolbarProps {
  search: WorklistSearch;
  rows: Rows;
  onChange: (some: Partial<WorklistSearch>) => void;
  onAddress: (search: string) => void;
  onRefresh: () => void;
  saving: boolean;
  onSaving: (open: boolean) => void;
  preview: boolean;
  onPreview: () => void;
}

export const Toolbar = memo(function Toolbar(props: ToolbarProps) {
  const { search, rows, onChange, onAddress, onRefresh, saving, onSaving, preview, onPreview } = props;
  const modalities = [...new Set([...rows.modalities, search.modality].filter(Boolean))].sort();
  const toggle = (state: State) =>
    onChange({
      states: search.states.includes(state) ? search.states.filter((one) => one !== state) : [...search.states, state],
    });
  return (
    <div className={styles.toolbar}>
      <div className={styles.line}>
        <SearchText value={search.text} onChange={(text) => onChange({ text })} />
        <Select
          label="Modality"
          hideLabel
          value={search.modality || "all"}
          onChange={(value) => onChange({ modality: value === "all" ? "" : value })}
          options={[{ id: "all", label: "All modalities" }, ...modalities.map((id) => ({ id, label: id }))]}
        />
        <SavedSearches search={search} onAddress={onAddress} onSave={() => onSaving(true)} />
        <span className={styles.space} />
        <ActionButton action="worklist.upload">
          <Upload /> Upload
        </ActionButton>
        <ActionButton action="worklist.next" kind="primary">
          Next study
        </ActionButton>
      </div>
      <div className={styles.line}>
        {/* biome-ignore lint/a11y/useSemanticElements: a set of toggle buttons, not a form's fields */}
        <div className={styles.states} role="group" aria-label="States">
          <ToggleButton
            className={styles.chip ?? ""}
            isSelected={search.states.length === 0}
            onChange={() => onChange({ states: [] })}
          >
            To read
          </ToggleButton>
          {STATE_ORDER.map((state) => (
            <ToggleButton
              key={state}
              className={styles.chip ?? ""}
              isSelected={search.states.includes(state)}
              onChange={() => toggle(state)}
            >
              {stateWord(state)}
              <span className={styles.count}>{rows.counts?.[state] ?? ""}</span>
            </ToggleButton>
          ))}
        </div>
        <span className={styles.space} />
        {(rows.fresh > 0 || rows.changed) && (
          <Button size="small" kind="primary" onPress={onRefresh}>
            {rows.fresh > 0 ? `${rows.fresh} new` : "List has changed"}: show
          </Button>
        )}
        <span className={styles.total} role="status">
          {rows.total === null ? "" : `${rows.total.toLocaleString("en")} ${rows.total === 1 ? "study" : "studies"}`}
        </span>
        <IconButton label={preview ? "Hide the preview" : "Show the preview"} size="small" onPress={onPreview}>
          <Panel />
        </IconButton>
      </div>
      <SaveSearch isOpen={saving} onClose={() => onSaving(false)} search={write(search).toString()} />
    </div>
  );
});

/** The search as typed; the list follows a moment after the last key. */
function SearchText({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const [text, setText] = useState(value);
  const [shown, setShown] = useState(value);
  const [sent, setSent] = useState(value);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  // The address changed by other means: a saved search, the way back.
  if (value !== shown) {
    setShown(value);
    if (value !== sent) {
      setText(value);
      setSent(value);
    }
  }
  useEffect(() => () => clearTimeout(timer.current), []);
  const say = (next: string) => {
    setText(next);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      setSent(next.trim());
      onChange(next);
    }, 200);
  };
  return (
    <search
      className={styles.search}
      data-search=""
      onKeyDown={(event) => {
        if (event.key !== "Escape" && event.key !== "Enter" && event.key !== "ArrowDown") return;
        if (event.key === "Escape" && text) say("");
        else document.querySelector<HTMLElement>("[data-grid]")?.focus();
        event.preventDefault();
      }}
    >
      <Field
        label="Search the worklist"
        hideLabel
        placeholder="Name, ID, accession, description  ( / )"
        value={text}
        onChange={say}
      />
    </search>
  );
}

function SavedSearches({
  search,
  onAddress,
  onSave,
}: {
  search: WorklistSearch;
  onAddress: (search: string) => void;
  onSave: () => void;
}) {
  const [preferences, change] = usePreferences();
  const saved = preferences.filters ?? [];
  const now = write(search).toString();
  const current = saved.find((one) => one.search === now);
  const entries: (MenuEntry | "-")[] = saved.map((one) => ({
    id: `open ${one.name}`,
    label: one.name,
    run: () => onAddress(one.search),
  }));
  if (entries.length > 0) entries.push("-");
  entries.push({ id: "save", label: "Save this search", run: onSave });
  if (current)
    entries.push({
      id: "remove",
      label: `Remove "${current.name}"`,
      danger: true,
      run: () => void change({ filters: saved.filter((one) => one !== current) }).catch(toastError),
    });
  return (
    <Menu
      label="Saved searches"
      entries={entries}
      trigger={
        <Button>
          <Star /> <span className={styles.saved}>{current?.name ?? "Saved searches"}</span>
        </Button>
      }
    />
  );
}
