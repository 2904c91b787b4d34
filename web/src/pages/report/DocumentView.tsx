import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { api, withQuery } from "../../api/client";
import type { DocumentFormat } from "../../api/types";
import { type SrNode, srTree } from "../../report/documents/srTree";
import { Button } from "../../shell/Button";
import { ErrorState, Loading } from "../../shell/states";
import styles from "./Report.module.css";
import { useDownload } from "./useDownload";

export interface DocumentViewProps {
  path: string;
  format: DocumentFormat;
  /** Of the text: another one makes another document. */
  revision: number;
}

/** One document as its receiver gets it. */
export function DocumentView(props: DocumentViewProps) {
  if (props.format === "pdf") return <Pdf path={props.path} revision={props.revision} />;
  return <Fetched {...props} />;
}

function Fetched({ path, format, revision }: DocumentViewProps) {
  const { data, error, refetch, isPending } = useQuery({
    queryKey: [path, format, revision],
    queryFn: ({ signal }) => api.blob(path, { format }, signal),
    staleTime: 0,
    gcTime: 0,
  });
  if (error) return <ErrorState error={error} retry={() => void refetch()} />;
  if (isPending) return <Loading>Making the document</Loading>;
  if (format === "sr") return <Tree file={data} />;
  return <Plain file={data} json={format !== "text"} />;
}

/** The PDF's words, with ways to the file itself: not every browser shows one inside a page. */
function Pdf({ path, revision }: { path: string; revision: number }) {
  const [download, saving] = useDownload();
  return (
    <div className={styles.pdf}>
      <div className={styles.ways}>
        <Button onPress={() => window.open(withQuery(path, { format: "pdf" }), "_blank", "noopener")}>
          Open the PDF
        </Button>
        <Button isDisabled={saving !== null} onPress={() => void download(path, "pdf")}>
          Download
        </Button>
        <span className={styles.quiet}>Its text, as it stands in the document:</span>
      </div>
      <DocumentView path={path} format="text" revision={revision} />
    </div>
  );
}

function Plain({ file, json }: { file: Blob; json: boolean }) {
  const [text, setText] = useState<string | null>(null);
  useEffect(() => {
    let over = false;
    void file.text().then((read) => {
      if (over) return;
      try {
        setText(json ? JSON.stringify(JSON.parse(read), null, 2) : read);
      } catch {
        setText(read);
      }
    });
    return () => {
      over = true;
    };
  }, [file, json]);
  if (text === null) return <Loading />;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a part that scrolls must be reached by keys
    <pre className={json ? styles.json : styles.text} tabIndex={0}>
      {text}
    </pre>
  );
}

function Tree({ file }: { file: Blob }) {
  const [tree, setTree] = useState<SrNode | null>(null);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    let over = false;
    file
      .arrayBuffer()
      .then((bytes) => !over && setTree(srTree(bytes)))
      .catch((thrown) => !over && setError(thrown));
    return () => {
      over = true;
    };
  }, [file]);
  if (error) return <ErrorState error={error} title="The structured report cannot be shown as a tree" />;
  if (tree === null) return <Loading />;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a part that scrolls must be reached by keys
    <section className={styles.tree} tabIndex={0} aria-label="Content tree">
      <Branch node={tree} />
    </section>
  );
}

function Branch({ node }: { node: SrNode }) {
  const head = (
    <>
      <span className={styles.type}>{node.type}</span>
      <span className={styles.concept}>{node.name || node.relationship.toLowerCase()}</span>
      {node.value && <span className={styles.value}>{node.value}</span>}
    </>
  );
  if (node.children.length === 0) return <div className={styles.leaf}>{head}</div>;
  return (
    <details className={styles.branch} open>
      <summary>{head}</summary>
      {node.children.map((each, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the tree is read once and never changes its order
        <Branch key={index} node={each} />
      ))}
    </details>
  );
}
