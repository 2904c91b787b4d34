import type { EditorState } from "@codemirror/state";
import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { api, at } from "../api/client";
import { keys, useGet, usePreferences, useSession } from "../api/queries";
import type { DraftVersion, Macro, NewVerdict, SectionName, Study, Template } from "../api/types";
import { toast, toastError } from "../shell/toast";
import { Ask } from "./ask/Ask";
import { Proposal } from "./ask/Proposal";
import { insertAtCursor, toField, toSection, without } from "./editor/commands";
import { change, sectionAt, sectionsOf } from "./editor/document";
import { activate, linkAt, links, neighbour } from "./editor/links";
import type { Evidence } from "./evidence/useEvidence";
import { Findings } from "./findings/Findings";
import { filled } from "./insert/templates";
import { Footer } from "./panel/Footer";
import { Notes } from "./panel/Notes";
import { Outside } from "./panel/Outside";
import styles from "./panel/Panel.module.css";
import { type ReportDialog, ReportDialogs } from "./panel/ReportDialogs";
import { Shown } from "./panel/Shown";
import { useReportActions } from "./panel/useReportActions";
import { allMacros } from "./text/macros";
import { isBlank } from "./text/sections";
import { useReport } from "./useReport";

export interface ReportPanelProps {
  study: Study;
  evidence: Evidence;
  /** The model's draft that the text is of; null: none. */
  draft: DraftVersion | null;
  /** The draft is not shown until the reader has looked himself. */
  hidden: boolean;
  onReveal(): void;
  seen: { images: number; of: number } | null;
  /** On the screen now. */
  image: string | null;
  onNext(): void;
  /** Back to the images. */
  onLeave(): void;
}

/** The report of a study: findings, text, what the model is asked, and the way to the signature. */
export function ReportPanel(props: ReportPanelProps) {
  const { study, evidence, draft, hidden, onReveal, seen, image, onNext, onLeave } = props;
  const uid = study.study;
  const queries = useQueryClient();
  const { data: session } = useSession();
  // One that is being loaded drafts as soon as it is there: the server lets the draft's stream wait for it.
  const hasModel = Boolean(session?.model) || session?.model_state === "loading";
  const [preferences] = usePreferences();
  const siteMacros = useGet<Macro[]>("/api/macros", {}, { staleTime: 300_000 });
  const macros = useMemo(
    () => allMacros(siteMacros.data ?? [], preferences.macros ?? []),
    [siteMacros.data, preferences.macros],
  );
  const [dialog, setDialog] = useState<ReportDialog | null>(null);
  const [drawer, setDrawer] = useState<"ask" | "anew" | null>(null);
  const [correcting, setCorrecting] = useState(false);
  const signed = study.reports.length > 0 && study.state !== "preliminary";
  const mayWrite = correcting ? study.may.correct : study.may.edit && !signed;
  const maySign = mayWrite && (correcting || study.may.sign || study.text === null || isBlank(study.text.sections));
  const last = study.reports.at(-1);
  // Under a signature stands what was signed, and not a correction that somebody has begun.
  const shownText = useMemo(
    () => (signed && !correcting && study.text && last ? { ...study.text, sections: last.sections } : study.text),
    [study.text, signed, correcting, last],
  );
  const written = useRef(false);

  const report = useReport({
    study: useMemo(
      () => ({ ...study, text: shownText, may: { ...study.may, edit: mayWrite } }),
      [study, shownText, mayWrite],
    ),
    draft,
    hidden,
    wanted: study.text === null && study.may.edit && !signed && draft === null && hasModel,
    macros,
    pointed: (found) => evidence.point(found ? { kind: "sentence", about: found.sentence } : null),
    chosen: (found) => {
      if (found) evidence.pin({ kind: "sentence", about: found.sentence });
      else if (evidence.pinned?.kind === "sentence") evidence.pin(null);
    },
    blurred: () => {
      // Whoever has written his own impression has looked.
      if (hidden && written.current) reveal();
    },
    left: onLeave,
  });
  const { view, sections, status, stream } = report;
  written.current = sections.impression.trim() !== "";
  const conflict = status.conflict ?? null;

  const reveal = () => {
    onReveal();
    if (!report.reveal()) setDialog({ kind: "draft" });
  };

  // The sentence whose evidence is on the image is lit.
  const about = evidence.about?.kind === "sentence" ? evidence.about.about : null;
  useEffect(() => {
    if (view === null) return;
    const found = about === null ? null : findLink(view.state, about);
    view.dispatch({ effects: activate(found) });
  }, [view, about]);

  const read = draft?.number;
  // A sentence that is no longer in the text has no evidence to be shown.
  const pinned = evidence.pinned?.kind === "sentence" ? evidence.pinned.about : null;
  const { pin } = evidence;
  // biome-ignore lint/correctness/useExhaustiveDependencies: whenever the text has changed
  useEffect(() => {
    if (view !== null && pinned !== null && findLink(view.state, pinned) === null) pin(null);
  }, [view, pinned, pin, sections]);

  const judge = useCallback(
    async (verdict: NewVerdict) => {
      try {
        // Of the draft that is on the screen: a newer one may have come meanwhile.
        await api.post(at("studies", uid, "verdicts"), { ...verdict, draft: read });
        await queries.invalidateQueries({ queryKey: keys.study(uid) });
      } catch (error) {
        toastError(error);
      }
    },
    [uid, queries, read],
  );
  const step = (backwards: boolean) => {
    if (view === null) return;
    const next = neighbour(view.state, view.state.selection.main.head, backwards);
    if (next === null) return;
    view.dispatch({ selection: { anchor: next.from }, scrollIntoView: true });
    view.focus();
    evidence.pin(null);
    evidence.pin({ kind: "sentence", about: next.sentence });
  };
  const judgeSentence = (verdict: "accepted" | "rejected") => {
    if (view === null || !mayWrite) return;
    const found = linkAt(view.state, view.state.selection.main.head);
    if (found === null) return;
    void judge({ kind: "sentence", about: found.sentence, verdict, said: "" });
    if (verdict === "rejected") view.dispatch(without(view.state, found.from, found.to));
    else step(false);
  };
  const applyTemplate = (template: Template) => {
    if (view === null) return;
    view.dispatch(change(view.state, filled(template), { undoable: true, event: "input.template" }));
    // The first field that it left open.
    view.dispatch({ selection: { anchor: 0 } });
    if (!toField(false)(view)) view.dispatch(toSection(view.state, "impression"));
    view.focus();
  };
  const insert = (text: string) => {
    if (view === null) return;
    view.dispatch(insertAtCursor(view.state, text));
    view.focus();
  };
  const { save } = report;
  const inHand = useRef(correcting);
  // biome-ignore lint/correctness/useExhaustiveDependencies: when a correction is begun or left, and with a new version
  useEffect(() => {
    const begun = correcting && !inHand.current;
    inHand.current = correcting;
    if (view === null || !signed || !shownText?.number) return;
    // A newer version, as an addendum, takes nothing out of the hands of whoever writes a correction.
    if (correcting && !begun) return;
    if (!begun && report.unsaved()) {
      // Another reader signed meanwhile: what was written here is not part of that, and not lost.
      inHand.current = true;
      setCorrecting(true);
      toast("This study was signed while you wrote. Your words are kept here as a correction that you have begun.");
      return;
    }
    report.load(shownText.sections, shownText.number);
  }, [view, signed, correcting, last?.number]);
  const leaveCorrection = async () => {
    if (await save()) setCorrecting(false);
  };

  useReportActions({
    view,
    study,
    mayWrite,
    maySign,
    signed,
    hidden,
    conflict: conflict !== null,
    hasModel,
    open: setDialog,
    drawer: (which) => setDrawer((before) => (before === which ? null : which)),
    save,
    reveal,
    step,
    judgeSentence,
    applyTemplate,
    correct: () => setCorrecting(true),
    next: onNext,
  });

  const findingVerdicts = useMemo(
    // Of whichever draft: a finding that was rejected once leaves with no version.
    () => new Map(study.verdicts.filter((each) => each.kind === "finding").map((each) => [each.about, each.verdict])),
    [study.verdicts],
  );
  const here: SectionName = view ? sectionAt(view.state, view.state.selection.main.head).name : "findings";
  return (
    <div className={styles.panel} data-context="editor">
      {hidden ? (
        <div className={styles.hidden}>
          <span>The draft is hidden until you have looked yourself.</span>
          <button type="button" className={styles.link} onClick={reveal}>
            Show the draft
          </button>
        </div>
      ) : (
        <Findings
          findings={draft?.findings ?? stream.findings}
          verdicts={findingVerdicts}
          shown={evidence.about}
          pinned={evidence.pinned}
          mayJudge={study.may.edit && draft !== null}
          running={stream.state === "running"}
          point={evidence.point}
          pin={evidence.pin}
          judge={(name, verdict) => void judge({ kind: "finding", about: name, verdict, said: "" })}
        />
      )}
      <Notes
        study={study}
        draft={hidden ? null : draft}
        stream={stream}
        hidden={hidden}
        signed={signed}
        correcting={correcting}
        conflict={conflict}
        hasModel={hasModel}
        login={session?.user?.login ?? ""}
        onCompare={() => setDialog({ kind: "compare" })}
        onTryAgain={report.tryDraftAgain}
        onDismiss={report.dismissFailure}
      />
      <div className={styles.text}>
        <div className={styles.editor} ref={report.host} />
        <Shown evidence={evidence} />
      </div>
      <Outside study={study} />
      {drawer === "ask" && (
        <Ask study={uid} image={image} mayInsert={mayWrite} onInsert={insert} onClose={() => setDrawer(null)} />
      )}
      {drawer === "anew" && mayWrite && (
        <Proposal
          study={uid}
          section={here}
          text={(section) => (view ? sectionsOf(view.state)[section] : "")}
          onAccept={(section, text) => {
            setDrawer(null);
            if (view === null) return;
            view.dispatch(change(view.state, { [section]: text }, { undoable: true, event: "input.proposal" }));
            view.dispatch(toSection(view.state, section));
            view.focus();
          }}
          onClose={() => setDrawer(null)}
        />
      )}
      <Footer
        study={study}
        status={status}
        stream={stream}
        mayWrite={mayWrite}
        maySign={maySign}
        signed={signed}
        correcting={correcting}
        onLeaveCorrection={() => void leaveCorrection()}
      />
      <ReportDialogs
        dialog={dialog}
        study={study}
        draft={draft}
        hidden={hidden}
        report={report}
        seen={seen}
        correction={correcting}
        mayWrite={mayWrite}
        onClose={() => setDialog(null)}
        onTemplate={applyTemplate}
        onMacro={(macro) => insert(macro.text)}
        onSigned={(andNext) => {
          setDialog(null);
          setCorrecting(false);
          if (andNext) onNext();
        }}
      />
    </div>
  );
}

function findLink(state: EditorState, sentence: string): number | null {
  return links(state).find((each) => each.sentence === sentence && each.to > each.from)?.id ?? null;
}
