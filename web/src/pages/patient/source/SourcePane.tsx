import { at } from "../../../api/client";
import { useGet } from "../../../api/queries";
import type { SourceResource } from "../../../api/types";
import { IconButton } from "../../../shell/Button";
import { Close } from "../../../shell/icons";
import { ErrorLine, Loading } from "../../../shell/states";
import styles from "./Source.module.css";
import { useSource } from "./source";

const MOST = 8;

/** The resources behind a statement, as they lie in their source; nothing can be changed here. */
export function SourcePane({ record }: { record: number }) {
  const { ids, pinned, close } = useSource();
  return (
    <aside className={styles.pane} aria-label="Source" aria-live="off">
      <header className={styles.head}>
        <h2 className={styles.title}>Source</h2>
        {ids.length > 0 && (
          <>
            <span className={styles.quiet}>{pinned ? "kept open" : "in passing"}</span>
            <IconButton label="Close the source" size="small" onPress={close}>
              <Close />
            </IconButton>
          </>
        )}
      </header>
      <div className={styles.body}>
        {ids.length === 0 && (
          <p className={styles.hint}>
            Point at a statement, a result or an entry to see the resource that it rests on. Its mark keeps it here.
          </p>
        )}
        {ids.slice(0, MOST).map((id) => (
          <Resource key={id} record={record} id={id} open={ids.length === 1} />
        ))}
        {ids.length > MOST && <p className={styles.hint}>And {ids.length - MOST} more of this statement.</p>}
      </div>
    </aside>
  );
}

function Resource({ record, id, open }: { record: number; id: string; open: boolean }) {
  const { data, error } = useGet<SourceResource>(at("patients", record, "resource"), { id }, { staleTime: 60_000 });
  return (
    <section className={styles.resource}>
      <h3 className={styles.id}>{id}</h3>
      {error && <ErrorLine error={error} />}
      {!data && !error && <Loading />}
      {data && (
        <>
          <dl className={styles.facts}>
            {data.facts.map(([name = "", value = ""], index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: a component's facts repeat their names
              <div key={index}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            ))}
          </dl>
          {data.text && (
            <details open={open && data.facts.length === 0}>
              <summary>As it lies in its source</summary>
              <pre className={styles.raw}>{data.text}</pre>
              {data.cut && <p className={styles.hint}>It is longer than what is shown.</p>}
            </details>
          )}
          <p className={styles.where}>{data.where}</p>
        </>
      )}
    </section>
  );
}
