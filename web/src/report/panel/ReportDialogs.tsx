import { api, at } from "../../api/client";
import type { DraftVersion, Macro, Sections, Signed, Study, Template } from "../../api/types";
import { toast, toastError } from "../../shell/toast";
import { CompareDialog } from "../conflict/CompareDialog";
import { CriticalDialog } from "../critical/CriticalDialog";
import { change, tidySections } from "../editor/document";
import { links } from "../editor/links";
import { HistoryDialog } from "../history/HistoryDialog";
import { InsertDialog } from "../insert/InsertDialog";
import { AddendumDialog } from "../signing/AddendumDialog";
import { SignDialog } from "../signing/SignDialog";
import { acceptedOf, judged, unsaid } from "../text/verdicts";
import { type ReportHandle, withoutModel } from "../useReport";

export type ReportDialog =
  | { kind: "sign"; andNext: boolean }
  | { kind: "addendum" | "critical" | "insert" | "history" | "compare" | "draft" };

export interface ReportDialogsProps {
  dialog: ReportDialog | null;
  study: Study;
  draft: DraftVersion | null;
  hidden: boolean;
  report: ReportHandle;
  seen: { images: number; of: number } | null;
  correction: boolean;
  mayWrite: boolean;
  onClose(): void;
  onTemplate(template: Template): void;
  onMacro(macro: Macro): void;
  onSigned(andNext: boolean): void;
}

/** The dialog that is open over the study, if one is. */
export function ReportDialogs(props: ReportDialogsProps) {
  const { dialog, study, draft, hidden, report, seen, correction, mayWrite, onClose, onSigned } = props;
  const { view, status } = report;
  if (dialog === null) return null;
  const mine = (): Sections => (view ? tidySections(view.state) : report.sections);
  switch (dialog.kind) {
    case "sign":
      return (
        <SignDialog
          study={study}
          draft={draft}
          text={mine()}
          base={status.base}
          correction={correction}
          seen={seen}
          streaming={report.stream.state === "running"}
          conflict={status.conflict !== null}
          hidden={hidden}
          andNext={dialog.andNext}
          save={report.saved}
          onSigned={(signed, andNext) => {
            told(signed);
            if (draft && view && !hidden && !correction) void sendVerdicts(study, draft, report);
            onSigned(andNext);
          }}
          onClose={onClose}
        />
      );
    case "addendum":
      return (
        <AddendumDialog
          study={study}
          onSigned={(signed) => {
            told(signed);
            onSigned(false);
          }}
          onClose={onClose}
        />
      );
    case "critical":
      return <CriticalDialog study={study} mayAct={study.may.edit} onClose={onClose} />;
    case "insert":
      return (
        <InsertDialog
          modalities={study.series.map((each) => each.modality)}
          onTemplate={props.onTemplate}
          onMacro={props.onMacro}
          onClose={onClose}
        />
      );
    case "history":
      return (
        <HistoryDialog
          study={study}
          text={mine()}
          mayRestore={mayWrite && view !== null}
          onRestore={(sections) => {
            if (view) view.dispatch(change(view.state, sections, { undoable: true, event: "input.restore" }));
            onClose();
          }}
          onClose={onClose}
        />
      );
    case "draft":
      return draft === null ? null : (
        <CompareDialog
          title="Your own look, and the draft"
          whose="The draft"
          hint="Your text stands on the left. Choose for each section; nothing is lost: the draft is kept among the versions."
          origin={withoutModel(mine())}
          mine={mine()}
          theirs={{ ...mine(), findings: draft.sections.findings, impression: draft.sections.impression }}
          onDone={(text) => {
            if (view) view.dispatch(change(view.state, text, { undoable: true, event: "input.merge" }));
            onClose();
          }}
          onClose={onClose}
        />
      );
    case "compare": {
      const newer = study.text;
      if (newer === null) return null;
      return (
        <CompareDialog
          title="Two texts of one report"
          whose={newer.author === "(model)" ? "The model" : newer.author}
          hint="Both are kept. Choose for each section what stands in the report from now on."
          origin={report.origin()}
          mine={mine()}
          theirs={newer.sections}
          onDone={(text) => {
            report.settle(text, newer);
            onClose();
          }}
          onClose={onClose}
        />
      );
    }
  }
}

function told(signed: Signed): void {
  const where = signed.destinations.length ? ` It goes to ${signed.destinations.join(", ")}.` : "";
  const state = signed.state === "preliminary" ? "First signature given." : `Signed: ${signed.state}.`;
  toast(`${state}${where} It cannot be undone; a correction or an addendum can follow.`, { tone: "good" });
  for (const each of signed.warnings) toast(each);
}

/** Keep what the reader thought of each sentence of the draft; the signature stands whatever comes of it. */
async function sendVerdicts(study: Study, draft: DraftVersion, report: ReportHandle): Promise<void> {
  if (report.view === null) return;
  const accepted = acceptedOf(study.verdicts, draft.number);
  const derived = judged(draft.sections, report.sections, links(report.view.state), accepted);
  try {
    for (const each of unsaid(derived, study.verdicts, draft.number))
      await api.post(at("studies", study.study, "verdicts"), { ...each, draft: draft.number });
  } catch (error) {
    toastError(error);
  }
}
