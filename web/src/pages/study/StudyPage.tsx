import { Suspense, useEffect, useMemo, useRef, useState } from "react";
import { useNavigate } from "react-router";
import { useMouseTools } from "../../actions/mouse";
import { perform, useActions } from "../../actions/registry";
import { at } from "../../api/client";
import { useGet, usePreferences, useSession } from "../../api/queries";
import type { Prior, SeriesInfo, Study } from "../../api/types";
import { useEvidence } from "../../report/evidence/useEvidence";
import { ReportPanel } from "../../report/ReportPanel";
import { MODEL } from "../../report/useReport";
import { personName } from "../../shell/format";
import { EmptyState, ErrorState, Loading } from "../../shell/states";
import { toastError } from "../../shell/toast";
import { useTitle } from "../../shell/useTitle";
import { showInSecondWindow } from "../../shell/windows";
import { type PriorImages, type Seen, Viewer, type ViewerHandle, viewerActions } from "../../viewer";
import { useChannel } from "./channel";
import { nearestPrior } from "./priors";
import { Splitter, usePanelWidth } from "./Splitter";
import styles from "./Study.module.css";
import { StudyHeader } from "./StudyHeader";
import { useMeasuring } from "./useMeasuring";
import { useNext } from "./useNext";
import { isOpened, useOpened } from "./useOpened";

/** The draft that the reader works on: the model's newest one; `applied` first. */
export function draftOf(study: Study) {
  const own = study.drafts.filter((each) => each.origin === "model");
  return (
    own.find((each) => each.number === study.text?.draft) ?? own.findLast((each) => each.applied) ?? own.at(-1) ?? null
  );
}

/** Images at the left, the report at the right. The viewer stays when the next study comes. */
export function StudyPage({ uid }: { uid: string }) {
  useTitle("Study");
  const { data, error, refetch, isFetching } = useOpened(uid);
  const { data: session } = useSession();
  const reader = session?.user?.role.includes("reader") ?? false;
  const study = data && (!reader || isOpened(uid)) ? data : null;
  // While the next study is fetched the viewer keeps the last one, under a cover.
  const [last, setLast] = useState<Study | null>(null);
  if (study !== null && study !== last) setLast(study);
  const shown = study ?? last;
  if (shown === null) {
    if (error) return <ErrorState error={error} retry={() => void refetch()} title="The study could not be opened" />;
    return <Loading>Opening the study</Loading>;
  }
  return (
    <Opened
      study={shown}
      covered={study === null}
      problem={study === null ? error : null}
      loading={isFetching}
      retry={() => void refetch()}
    />
  );
}

interface OpenedProps {
  study: Study;
  covered: boolean;
  problem: unknown;
  loading: boolean;
  retry(): void;
}

function Opened({ study, covered, problem, loading, retry }: OpenedProps) {
  const uid = study.study;
  const navigate = useNavigate();
  const [preferences] = usePreferences();
  const mouse = useMouseTools();
  const viewer = useRef<ViewerHandle>(null);
  const [width, setWidth] = usePanelWidth();
  const [panel, setPanel] = useState(true);
  const [seen, setSeen] = useState<(Seen & { study: string }) | null>(null);
  const [image, setImage] = useState<string | null>(null);
  const [prior, setPrior] = useState<Prior | null>(null);
  const [revealed, setRevealed] = useState<string | null>(null);
  const draft = useMemo(() => draftOf(study), [study]);
  const untouched = study.text === null || study.text.author === MODEL;
  // As it was when it was opened: the reader's own words, once they are saved, show him no draft by themselves.
  const [blind, setBlind] = useState<{ study: string; untouched: boolean } | null>(null);
  const first = blind?.study === uid ? blind.untouched : untouched;
  if (!covered && blind?.study !== uid) setBlind({ study: uid, untouched });
  const hidden =
    Boolean(preferences.own_look_first) && revealed !== uid && first && study.may.edit && study.reports.length === 0;
  const evidence = useEvidence(uid, draft, !hidden);
  const next = useNext(uid, !covered);
  const measuring = useMeasuring(study);
  const beside = usePriorImages(prior);

  // biome-ignore lint/correctness/useExhaustiveDependencies: nothing of one patient stays for the next
  useEffect(() => {
    setPrior(null);
    setImage(null);
  }, [uid]);

  const tell = useChannel((told) => {
    if (told.type === "hello") tell({ type: "study", study: uid });
  });
  useEffect(() => tell({ type: "study", study: uid }), [tell, uid]);
  useEffect(() => tell({ type: "overlay", study: uid, overlay: evidence.overlay }), [tell, uid, evidence.overlay]);

  const sure = nearestPrior(study);
  const toImages = () => viewer.current?.focus();
  const toReport = () => document.querySelector<HTMLElement>("[data-context=editor] .cm-content")?.focus();
  useActions({
    ...Object.fromEntries(viewerActions.map(({ id }) => [id, () => viewer.current?.runAction(id)])),
    "study.prior": sure !== undefined && (() => setPrior(prior ? null : sure)),
    "study.out": () => void navigate(`/study/${encodeURIComponent(uid)}/report`),
    "study.images": () => showInSecondWindow(`/study/${encodeURIComponent(uid)}?window=images`),
    "study.panel": () => setPanel(!panel),
    "study.focus": () => {
      if (document.activeElement?.closest("[data-context=editor]")) toImages();
      else {
        setPanel(true);
        requestAnimationFrame(toReport);
      }
    },
    "study.findings": () => {
      setPanel(true);
      requestAnimationFrame(() => document.querySelector<HTMLElement>("[data-finding][tabindex='0']")?.focus());
    },
  });

  const has = study.series.length > 0;
  return (
    <div className={styles.page}>
      <StudyHeader study={study} hidden={hidden} beside={prior} loading={loading} onPrior={setPrior} />
      <div className={styles.split}>
        <div className={styles.images} data-context="viewer">
          {has ? (
            <Suspense fallback={<Loading>Loading the viewer</Loading>}>
              <Viewer
                ref={viewer}
                study={uid}
                series={study.series}
                measurements={study.measurements}
                overlay={evidence.overlay}
                patient={{
                  name: personName(study.patient.name),
                  identifier: study.patient.identifier,
                  birth_date: study.patient.birth_date,
                  date: study.about.date,
                }}
                prior={beside}
                onClosePrior={() => setPrior(null)}
                onSeen={(now) => setSeen({ ...now, study: uid })}
                onImage={setImage}
                onRegion={(region) => evidence.point(region ? { kind: "finding", about: region.label } : null)}
                mouse={mouse}
                keys={preferences.keys}
                {...measuring}
              />
            </Suspense>
          ) : (
            <EmptyState title="This study has no images that can be shown" />
          )}
        </div>
        {panel && <Splitter width={width} onChange={setWidth} />}
        {/* Hidden and not taken away: its text and what was undone stay. */}
        <section className={styles.report} style={{ width }} hidden={!panel} aria-label="Report">
          <ReportPanel
            key={uid}
            study={study}
            evidence={evidence}
            draft={draft}
            hidden={hidden}
            onReveal={() => setRevealed(uid)}
            seen={seen?.study === uid ? { images: seen.images, of: seen.of } : null}
            image={image}
            onNext={() => void next()}
            onLeave={toImages}
          />
        </section>
        {covered && (
          <div className={styles.cover}>
            {problem ? <ErrorState error={problem} retry={retry} /> : <Loading>Opening the next study</Loading>}
            {problem ? (
              <button type="button" className={styles.skip} onClick={() => perform("go.worklist")}>
                Back to the worklist
              </button>
            ) : null}
          </div>
        )}
      </div>
    </div>
  );
}

/** The images of an earlier study, once it is asked for. */
function usePriorImages(prior: Prior | null): PriorImages | null {
  // The series alone: a study that was fetched from an archive to be compared with was never read here.
  const { data, error } = useGet<SeriesInfo[]>(
    at("studies", prior?.study ?? "", "series"),
    {},
    { enabled: prior !== null },
  );
  useEffect(() => {
    if (error) toastError(error);
  }, [error]);
  return useMemo(() => {
    if (prior === null || data === undefined) return null;
    const { study, date, description, certain } = prior;
    return { study, date, description, certain, series: data };
  }, [prior, data]);
}
