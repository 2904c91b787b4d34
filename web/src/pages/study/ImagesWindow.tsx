import { Suspense, useEffect, useRef, useState } from "react";
import { useNavigate } from "react-router";
import { useMouseTools } from "../../actions/mouse";
import { useActions } from "../../actions/registry";
import { usePreferences, useStudy } from "../../api/queries";
import type { Study } from "../../api/types";
import { personName } from "../../shell/format";
import { EmptyState, ErrorState, Loading } from "../../shell/states";
import { useTitle } from "../../shell/useTitle";
import { useSecondWindow } from "../../shell/windows";
import { type Overlay, Viewer, type ViewerHandle, viewerActions } from "../../viewer";
import { useChannel } from "./channel";
import styles from "./Study.module.css";
import { useMeasuring } from "./useMeasuring";

/** The images alone, on a second screen. It goes where the window with the list or the report goes. */
export function ImagesWindow({ uid }: { uid: string }) {
  useTitle("Images");
  useSecondWindow();
  const navigate = useNavigate();
  const { data, error, refetch } = useStudy(uid);
  // Study to study the viewer stays; the last one's images are gone with the first of the next one's.
  const [last, setLast] = useState<Study | null>(null);
  if (data && data !== last) setLast(data);
  const study = data ?? (error ? null : last);
  const [preferences] = usePreferences();
  const mouse = useMouseTools();
  const viewer = useRef<ViewerHandle>(null);
  const [overlay, setOverlay] = useState<Overlay | undefined>(undefined);
  const tell = useChannel((told) => {
    if (told.type === "study" && told.study !== uid)
      void navigate(`/study/${encodeURIComponent(told.study)}?window=images`, { replace: true });
    if (told.type === "overlay" && told.study === uid) setOverlay(told.overlay);
  });
  useEffect(() => tell({ type: "hello" }), [tell]);
  const measuring = useMeasuring(study ?? null);
  useActions(Object.fromEntries(viewerActions.map(({ id }) => [id, () => viewer.current?.runAction(id)])));
  if (error && !study) return <ErrorState error={error} retry={() => void refetch()} />;
  if (!study) return <Loading />;
  if (study.series.length === 0) return <EmptyState title="This study has no images" />;
  return (
    <div className={styles.alone} data-context="viewer" aria-busy={data === undefined} hidden={data === undefined}>
      <Suspense fallback={<Loading>Loading the viewer</Loading>}>
        <Viewer
          ref={viewer}
          study={study.study}
          series={study.series}
          measurements={study.measurements}
          overlay={overlay}
          patient={{
            name: personName(study.patient.name),
            identifier: study.patient.identifier,
            birth_date: study.patient.birth_date,
            date: study.about.date,
          }}
          mouse={mouse}
          keys={preferences.keys}
          {...measuring}
        />
      </Suspense>
    </div>
  );
}
