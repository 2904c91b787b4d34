import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { api, at, words } from "../../api/client";
import type { LibraryInfo, PapersAdded, RetractionsRead } from "../../api/types";
import { sendFile } from "../../api/upload";
import { Button } from "../../shell/Button";
import { Upload } from "../../shell/icons";
import { toast, toastError } from "../../shell/toast";
import styles from "./Literature.module.css";

interface Line {
  name: string;
  share: number;
  said: string;
  bad: boolean;
}

/** Files into a library, one after the other, with what became of each; and lists of retractions. */
export function Manage({ library, isAdmin }: { library: LibraryInfo; isAdmin: boolean }) {
  const queries = useQueryClient();
  const papers = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLInputElement>(null);
  const [lines, setLines] = useState<Line[]>([]);
  const fresh = () =>
    queries.invalidateQueries({ predicate: ({ queryKey }) => String(queryKey[0]).startsWith("/api/literature") });
  useEffect(() => {
    if (!library.making) return;
    const timer = setInterval(() => void queries.invalidateQueries({ queryKey: ["/api/literature/libraries"] }), 3000);
    return () => clearInterval(timer);
  }, [library.making, queries]);
  const add = async (files: File[]) => {
    const start = lines.length;
    setLines((old) => [...old, ...files.map(({ name }) => ({ name, share: 0, said: "waits", bad: false }))]);
    const set = (index: number, some: Partial<Line>) =>
      setLines((old) => old.map((line, at) => (at === start + index ? { ...line, ...some } : line)));
    for (const [index, file] of files.entries()) {
      try {
        const made = await sendFile<PapersAdded>(
          "/api/literature/uploads",
          file,
          { library: library.name, name: file.name },
          (share) => set(index, { share, said: share < 1 ? "is sent" : "is read" }),
          new AbortController().signal,
        );
        set(index, { share: 1, said: outcome(made), bad: made.error !== "" || made.faulty > 0 });
      } catch (error) {
        set(index, { share: 1, said: `refused: ${words(error)}`, bad: true });
      }
    }
    await fresh();
  };
  const retract = async (file: File) => {
    try {
      const read = await sendFile<RetractionsRead>(
        "/api/literature/retractions",
        file,
        { library: library.name, name: file.name },
        () => undefined,
        new AbortController().signal,
      );
      toast(`${read.identifiers} identifiers read; ${read.retracted} papers here are retracted.`, { tone: "good" });
      await fresh();
    } catch (error) {
      toastError(error);
    }
  };
  return (
    <>
      <p className={styles.buttons}>
        <Button kind="primary" onPress={() => papers.current?.click()}>
          <Upload /> Add files of papers
        </Button>
        <Button onPress={() => list.current?.click()}>Import a list of retractions</Button>
        {isAdmin && !library.own && (
          <Button
            kind="danger"
            onPress={() => {
              if (window.confirm(`Remove the library ${library.name} with all its papers?`))
                void api.remove(at("literature", "libraries", library.name)).then(fresh, toastError);
            }}
          >
            Remove the library
          </Button>
        )}
      </p>
      <p className={styles.quiet}>
        PubMed XML, MEDLINE, JATS, PDF with a text layer, HTML, Markdown, JSON Lines. A paper that is there already is
        filled in, not added twice.
      </p>
      <input
        ref={papers}
        type="file"
        multiple
        hidden
        aria-label="Files of papers"
        onChange={(event) => {
          void add([...(event.target.files ?? [])]);
          event.target.value = "";
        }}
      />
      <input
        ref={list}
        type="file"
        hidden
        aria-label="List of retractions"
        onChange={(event) => {
          const file = event.target.files?.[0];
          if (file) void retract(file);
          event.target.value = "";
        }}
      />
      <ul className={styles.files} aria-live="polite">
        {lines.map((line, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the list only grows at its end
          <li key={index}>
            <strong>{line.name}</strong> <progress value={line.share} max={1} aria-label={line.name} />{" "}
            <span className={line.bad ? styles.warning : ""}>{line.said}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

/** Return what became of a file in a line. */
export function outcome(made: PapersAdded): string {
  if (made.unchanged) return "was added before";
  return (
    [
      made.error && `refused: ${made.error}`,
      made.added > 0 && `${made.added} added`,
      made.updated > 0 && `${made.updated} filled in`,
      made.known > 0 && `${made.known} known`,
      made.faulty > 0 && `${made.faulty} cannot be used: ${made.faults[0] ?? ""}`,
    ]
      .filter(Boolean)
      .join(", ") || "holds no papers"
  );
}
