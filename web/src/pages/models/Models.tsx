import DOMPurify from "dompurify";
import { Marked } from "marked";
import { useEffect, useMemo } from "react";
import { useGet, useSession } from "../../api/queries";
import type { ModelInfo, Session } from "../../api/types";
import { Badge } from "../../shell/Badge";
import { Caution } from "../../shell/Banner";
import { bytes } from "../../shell/format";
import { Facts, Page } from "../../shell/Page";
import { EmptyState, ErrorState, Loading } from "../../shell/states";
import styles from "./Models.module.css";

// A card is Markdown; HTML inside it is left out before it is ever parsed.
const markdown = new Marked({ renderer: { html: () => "" } });

export default function Models() {
  const state = useSession().data?.model_state ?? "none";
  const { data, error, refetch } = useGet<ModelInfo[]>("/api/models", {}, { staleTime: 0 });
  // What was asked for while the model was loading does not know it yet.
  useEffect(() => {
    if (state !== "loading") void refetch();
  }, [state, refetch]);
  return (
    <Page title="Models" lead="Models draft; people sign. What is loaded here writes the drafts of this workspace.">
      {!data ? (
        error ? (
          <ErrorState error={error} retry={() => void refetch()} />
        ) : (
          <Loading />
        )
      ) : (
        <>
          {!data.some((model) => model.loaded) && <Missing state={state} />}
          {[...data]
            .sort((a, b) => Number(b.loaded) - Number(a.loaded))
            .map((model) => (
              <Model key={`${model.name} ${model.revision}`} model={model} />
            ))}
        </>
      )}
    </Page>
  );
}

/** Why nothing is loaded. */
function Missing({ state }: { state: Session["model_state"] }) {
  if (state === "loading")
    return (
      <EmptyState title="The model is loading">
        Studies can be read meanwhile; their drafts are written then.
      </EmptyState>
    );
  if (state === "failed")
    return (
      <EmptyState title="The model could not be loaded: the workspace still reads and signs">
        The log of the server says why.
      </EmptyState>
    );
  return (
    <EmptyState title="No model: the workspace still reads and signs">
      Start <code>aris serve</code> with <code>--model</code> to have drafts written.
    </EmptyState>
  );
}

function Model({ model }: { model: ModelInfo }) {
  return (
    <article className={styles.model}>
      <header className={styles.header}>
        <h2 className={styles.name}>{model.name}</h2>
        <Badge tone={model.loaded ? "good" : "quiet"}>{model.loaded ? "Loaded" : "Not loaded"}</Badge>
      </header>
      <Caution text={model.caution} />
      <div className={styles.body}>
        <Facts
          facts={[
            ["Revision", model.revision || "Not said"],
            ["Device", model.device || "None"],
            ["Memory", model.memory === null ? "Not measured" : bytes(model.memory)],
            ["Speed", model.tokens_per_s === null ? "No answer yet" : `${model.tokens_per_s.toFixed(1)} tokens/s`],
            ["Quantisation", model.quantization || "None"],
          ]}
        />
        <h3 className={styles.subtitle}>Assesses</h3>
        {model.scope.length === 0 ? (
          <p>Nothing by itself</p>
        ) : (
          <ul className={styles.scope}>
            {model.scope.map((line) => (
              <li key={line}>{line}</li>
            ))}
          </ul>
        )}
        {model.card && (
          <details className={styles.card}>
            <summary>Model card</summary>
            <Card text={model.card} />
          </details>
        )}
      </div>
    </article>
  );
}

/** The card: Markdown, cleaned of all that acts or loads. */
function Card({ text }: { text: string }) {
  const html = useMemo(
    () =>
      DOMPurify.sanitize(markdown.parse(text.replace(/^---\n[\s\S]*?\n---\n/, ""), { async: false }), {
        USE_PROFILES: { html: true },
        FORBID_TAGS: ["style", "img", "form", "input", "button", "iframe", "video", "audio"],
        FORBID_ATTR: ["style", "id", "class"],
      }),
    [text],
  );
  // biome-ignore lint/security/noDangerouslySetInnerHtml: cleaned by DOMPurify just above
  return <div className={styles.text} dangerouslySetInnerHTML={{ __html: html }} />;
}
