import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, at } from "../../api/client";
import { useGet } from "../../api/queries";
import type { PaperPage } from "../../api/types";
import { Button, IconButton } from "../../shell/Button";
import { Field } from "../../shell/Field";
import { Trash } from "../../shell/icons";
import { Table } from "../../shell/Page";
import { EmptyState, ErrorState, Loading } from "../../shell/states";
import { toastError } from "../../shell/toast";
import styles from "./Literature.module.css";

const PAGE = 50;

/** The papers of a library. */
export function Papers({ library, mayRemove }: { library: string; mayRemove: boolean }) {
  const queries = useQueryClient();
  const [text, setText] = useState("");
  const [offset, setOffset] = useState(0);
  const path = at("literature", "libraries", library, "papers");
  const { data, error, refetch } = useGet<PaperPage>(path, { text, limit: PAGE, offset }, { staleTime: 0 });
  const remove = (id: number) =>
    api
      .remove(at("literature", "libraries", library, "papers", id))
      .then(() =>
        queries.invalidateQueries({ predicate: ({ queryKey }) => String(queryKey[0]).startsWith("/api/literature") }),
      )
      .catch(toastError);
  return (
    <>
      <div className={styles.search}>
        <Field
          label="Title, author, journal, PMID or DOI"
          value={text}
          maxLength={200}
          onChange={(value) => {
            setText(value);
            setOffset(0);
          }}
        />
      </div>
      {!data ? (
        error ? (
          <ErrorState error={error} retry={() => void refetch()} />
        ) : (
          <Loading />
        )
      ) : data.papers.length === 0 ? (
        <EmptyState title={text ? "No paper fits" : "The library is empty"} />
      ) : (
        <>
          <Table label="Papers" head={["Year", "Paper", "Study type", "Retraction", ""]}>
            {data.papers.map((paper) => (
              <tr key={paper.id}>
                <td>{paper.year ?? ""}</td>
                <td>{paper.reference}</td>
                <td>{paper.study_type}</td>
                <td className={paper.retraction === "retracted" ? styles.retracted : ""}>{paper.retraction}</td>
                <td>
                  {mayRemove && (
                    <IconButton label={`Remove ${paper.title}`} size="small" onPress={() => void remove(paper.id)}>
                      <Trash />
                    </IconButton>
                  )}
                </td>
              </tr>
            ))}
          </Table>
          {data.total > PAGE && (
            <p className={styles.buttons}>
              <Button isDisabled={offset === 0} onPress={() => setOffset(offset - PAGE)}>
                Before
              </Button>
              {offset + 1} to {Math.min(offset + PAGE, data.total)} of {data.total}
              <Button isDisabled={offset + PAGE >= data.total} onPress={() => setOffset(offset + PAGE)}>
                Next
              </Button>
            </p>
          )}
        </>
      )}
    </>
  );
}
