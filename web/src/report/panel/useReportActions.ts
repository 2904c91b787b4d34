import { redo, undo } from "@codemirror/commands";
import { openSearchPanel } from "@codemirror/search";
import type { EditorView } from "@codemirror/view";
import { useRef } from "react";
import { useActions } from "../../actions/registry";
import { useGet } from "../../api/queries";
import type { Study, Template } from "../../api/types";
import { toast } from "../../shell/toast";
import { stepSection } from "../editor/commands";
import { normals } from "../insert/templates";
import type { ReportDialog } from "./ReportDialogs";

export interface Doable {
  view: EditorView | null;
  study: Study;
  mayWrite: boolean;
  maySign: boolean;
  signed: boolean;
  hidden: boolean;
  conflict: boolean;
  hasModel: boolean;
  open(dialog: ReportDialog): void;
  drawer(which: "ask" | "anew"): void;
  save(): Promise<boolean>;
  reveal(): void;
  step(backwards: boolean): void;
  judgeSentence(verdict: "accepted" | "rejected"): void;
  applyTemplate(template: Template): void;
  correct(): void;
  next(): void;
}

/** Offer the report's actions to keys, palette and buttons. */
export function useReportActions(what: Doable): void {
  const { view, study, mayWrite, maySign, signed, hidden } = what;
  const templates = useGet<Template[]>("/api/templates", {}, { staleTime: 300_000, enabled: mayWrite });
  const busy = useRef(false);
  const normal = () => {
    const modalities = study.series.map((each) => each.modality);
    const about = [study.about.description, study.order?.procedure, ...study.series.map((each) => each.body_part)];
    const [best] = normals(templates.data ?? [], modalities, about.join(" "));
    if (best === undefined) {
      toast("There is no normal report for this kind of study among the templates.", { tone: "error" });
      return;
    }
    if (hidden) what.reveal();
    what.applyTemplate(best);
    what.open({ kind: "sign", andNext: true });
  };
  const save = async () => {
    if (busy.current) return;
    busy.current = true;
    if (await what.save()) toast("Saved.", { tone: "good" });
    busy.current = false;
  };
  const run = (command: typeof undo) => () => {
    if (view) command(view);
  };
  useActions({
    "study.sign": maySign && (() => what.open({ kind: "sign", andNext: false })),
    "study.signnext": maySign && (() => what.open({ kind: "sign", andNext: true })),
    "study.next": () => what.next(),
    "study.normal": maySign && normal,
    "study.save": mayWrite && (() => void save()),
    "study.showdraft": hidden && (() => what.reveal()),
    "study.addendum": study.may.addend && (() => what.open({ kind: "addendum" })),
    "study.correct": signed && study.may.correct && (() => what.correct()),
    "study.critical": () => what.open({ kind: "critical" }),
    "study.ask": what.hasModel && study.may.edit && (() => what.drawer("ask")),
    "study.insert": mayWrite && (() => what.open({ kind: "insert" })),
    "study.regenerate": mayWrite && what.hasModel && !hidden && (() => what.drawer("anew")),
    "study.history": () => what.open({ kind: "history" }),
    "study.compare": what.conflict && (() => what.open({ kind: "compare" })),
    "sentence.next": !hidden && (() => what.step(false)),
    "sentence.previous": !hidden && (() => what.step(true)),
    "sentence.accept": mayWrite && !hidden && (() => what.judgeSentence("accepted")),
    "sentence.reject": mayWrite && !hidden && (() => what.judgeSentence("rejected")),
    "editor.undo": mayWrite && run(undo),
    "editor.redo": mayWrite && run(redo),
    "editor.section.next": () => view && stepSection(1)(view),
    "editor.section.previous": () => view && stepSection(-1)(view),
    "editor.find": () => view && openSearchPanel(view),
  });
}
