import { useState } from "react";
import { useSearchParams } from "react-router";
import { useGet, useSession } from "../../api/queries";
import type { Libraries } from "../../api/types";
import { Select } from "../../shell/Field";
import { bytes } from "../../shell/format";
import { Page } from "../../shell/Page";
import { EmptyState, ErrorState, Loading } from "../../shell/states";
import { Tabs } from "../../shell/Tabs";
import { Asking } from "./Asking";
import styles from "./Literature.module.css";
import { Manage } from "./Manage";
import { NewLibrary } from "./NewLibrary";
import { Papers } from "./Papers";
import { Saved } from "./Saved";

/** The literature: libraries of papers, questions to them, and the passages behind each answer. */
export default function Literature() {
  const [params, setParams] = useSearchParams();
  const role = useSession().data?.user?.role ?? "viewer";
  const { data, error, refetch } = useGet<Libraries>("/api/literature/libraries", {}, { staleTime: 0 });
  const [tab, setTab] = useState(role === "admin" ? "papers" : "ask");
  const keeps = role !== "viewer";
  const wanted = params.get("library");
  const library = data?.libraries.find((one) => one.name === wanted) ?? data?.libraries[0];
  const choose = (name: string) => setParams({ library: name }, { replace: true });
  return (
    <Page
      title="Literature"
      lead="Answers drawn from the papers of a library alone, each sentence with the passage that it stands on."
      tools={keeps && <NewLibrary onMade={choose} />}
    >
      {!data ? (
        error ? (
          <ErrorState error={error} retry={() => void refetch()} />
        ) : (
          <Loading />
        )
      ) : !library ? (
        <EmptyState title="There is no library yet">
          {keeps ? "Make one, then add papers to it: PubMed XML, JATS, PDF, HTML, Markdown or JSON Lines." : ""}
        </EmptyState>
      ) : (
        <>
          <div className={styles.library}>
            <Select
              label="Library"
              options={data.libraries.map((one) => ({
                id: one.name,
                label: one.own ? "Command line's own" : one.name,
              }))}
              value={library.name}
              onChange={choose}
            />
            <p className={styles.counts} role="status">
              {library.problem ||
                `${library.papers} papers, ${library.passages} passages, ${bytes(library.size)}. ${
                  library.lexical ? `Searched by words alone: ${library.lexical}.` : ""
                }${library.making ? `Vectors are being made: ${library.vectors} of ${library.passages}.` : ""} ${
                  library.listed
                    ? `${library.retracted} retracted.`
                    : "No list of retractions was imported: whether papers were retracted is unknown."
                }`}
            </p>
          </div>
          <Tabs
            key={library.name}
            label="Literature"
            selected={tab}
            onSelect={setTab}
            tabs={[
              ...(role === "admin"
                ? []
                : [
                    {
                      id: "ask",
                      label: "Ask and search",
                      content: (
                        <Asking library={library.name} types={data.study_types} mayAsk={role.includes("reader")} />
                      ),
                    },
                  ]),
              { id: "papers", label: "Papers", content: <Papers library={library.name} mayRemove={keeps} /> },
              ...(keeps
                ? [{ id: "add", label: "Add", content: <Manage library={library} isAdmin={role.includes("admin")} /> }]
                : []),
              ...(role.includes("reader") ? [{ id: "saved", label: "Saved answers", content: <Saved /> }] : []),
            ]}
          />
        </>
      )}
    </Page>
  );
}
