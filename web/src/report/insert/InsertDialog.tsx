import { useMemo, useRef, useState } from "react";
import { useGet, usePreferences } from "../../api/queries";
import type { Macro, Template } from "../../api/types";
import { Badge } from "../../shell/Badge";
import { Dialog } from "../../shell/Dialog";
import { Field } from "../../shell/Field";
import { ErrorState, Loading } from "../../shell/states";
import { allMacros } from "../text/macros";
import { TITLES } from "../text/sections";
import styles from "./Insert.module.css";
import { filled, fitting } from "./templates";

type Choice = { kind: "template"; template: Template } | { kind: "macro"; macro: Macro & { own: boolean } };

export interface InsertProps {
  modalities: readonly string[];
  onTemplate(template: Template): void;
  onMacro(macro: Macro): void;
  onClose(): void;
}

/** Find a template or macro by typing, look at it, and put it in with Enter. */
export function InsertDialog({ modalities, onTemplate, onMacro, onClose }: InsertProps) {
  const templates = useGet<Template[]>("/api/templates", {}, { staleTime: 60_000 });
  const macros = useGet<Macro[]>("/api/macros", {}, { staleTime: 60_000 });
  const [preferences] = usePreferences();
  const [search, setSearch] = useState("");
  const [here, setHere] = useState(0);
  const list = useRef<HTMLDivElement>(null);
  const choices = useMemo<Choice[]>(() => {
    const all: Choice[] = [
      ...fitting(templates.data ?? [], modalities).map((template) => ({ kind: "template" as const, template })),
      ...allMacros(macros.data ?? [], preferences.macros ?? []).map((macro) => ({ kind: "macro" as const, macro })),
    ];
    const words = search.toLowerCase().split(/\s+/).filter(Boolean);
    return all.filter((each) => words.every((word) => searched(each).includes(word)));
  }, [templates.data, macros.data, preferences.macros, modalities, search]);
  const index = Math.min(here, Math.max(0, choices.length - 1));
  const chosen = choices[index];
  const move = (next: number) => {
    const at = Math.max(0, Math.min(choices.length - 1, next));
    setHere(at);
    list.current?.children[at]?.scrollIntoView({ block: "nearest" });
  };
  const take = (choice: Choice | undefined) => {
    if (choice === undefined) return;
    onClose();
    if (choice.kind === "template") onTemplate(choice.template);
    else onMacro(choice.macro);
  };
  const onKey = (event: React.KeyboardEvent) => {
    if (event.key === "ArrowDown") move(index + 1);
    else if (event.key === "ArrowUp") move(index - 1);
    else if (event.key === "Enter") take(chosen);
    else return;
    event.preventDefault();
  };
  const loading = templates.isPending || macros.isPending;
  const error = templates.error ?? macros.error;
  return (
    <Dialog title="Insert a template or macro" isOpen onClose={onClose} size="large">
      {/* biome-ignore lint/a11y/noStaticElementInteractions: arrows and Enter work from the search field */}
      <div className={styles.insert} onKeyDown={onKey}>
        <Field
          label="Search"
          hideLabel
          placeholder="Search templates and macros"
          value={search}
          autoFocus
          onChange={(value) => {
            setSearch(value);
            setHere(0);
          }}
        />
        {error ? (
          <ErrorState error={error} retry={() => void Promise.all([templates.refetch(), macros.refetch()])} />
        ) : loading ? (
          <Loading />
        ) : (
          <div className={styles.columns}>
            <div className={styles.list} ref={list} role="listbox" aria-label="Templates and macros" tabIndex={-1}>
              {choices.map((each, place) => (
                // biome-ignore lint/a11y/useKeyWithClickEvents: the keys are those of the search field
                <div
                  key={idOf(each)}
                  role="option"
                  aria-selected={place === index}
                  tabIndex={-1}
                  className={styles.option}
                  onMouseMove={() => setHere(place)}
                  onClick={() => take(each)}
                >
                  <span className={styles.name}>{nameOf(each)}</span>
                  <Badge tone={each.kind === "template" && each.template.normal ? "good" : "quiet"}>
                    {sortOf(each)}
                  </Badge>
                </div>
              ))}
              {choices.length === 0 && (
                <p className={styles.none}>Nothing fits. Macros of your own are in the settings.</p>
              )}
            </div>
            <div className={styles.preview} aria-live="polite">
              {chosen && <Preview choice={chosen} />}
            </div>
          </div>
        )}
        <p className={styles.hint}>In the report a macro is put in by its name: .name, then Tab.</p>
      </div>
    </Dialog>
  );
}

function Preview({ choice }: { choice: Choice }) {
  if (choice.kind === "macro") return <pre className={styles.text}>{choice.macro.text}</pre>;
  return Object.entries(filled(choice.template)).map(([name, text]) => (
    <div key={name}>
      <h3 className={styles.section}>{TITLES[name as keyof typeof TITLES]}</h3>
      <pre className={styles.text}>{text}</pre>
    </div>
  ));
}

const idOf = (choice: Choice) => (choice.kind === "template" ? `t ${choice.template.id}` : `m ${choice.macro.name}`);
const nameOf = (choice: Choice) =>
  choice.kind === "template" ? choice.template.name : `.${choice.macro.name.replace(/^\./, "")}`;
const searched = (choice: Choice) =>
  (choice.kind === "template"
    ? `${choice.template.name} ${choice.template.modality} template`
    : `${choice.macro.name} ${choice.macro.text} macro`
  ).toLowerCase();
function sortOf(choice: Choice): string {
  if (choice.kind === "macro") return choice.macro.own ? "own macro" : "macro";
  return [choice.template.modality, choice.template.normal ? "normal" : "template"].filter(Boolean).join(" ");
}
