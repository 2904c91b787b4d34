import { useState } from "react";
import { useGet } from "../../api/queries";
import type { Agreement as AgreementRow } from "../../api/types";
import { Select } from "../../shell/Field";
import { Page, Section, Table } from "../../shell/Page";
import { EmptyState, ErrorState, Loading } from "../../shell/states";
import styles from "./Agreement.module.css";
import { Chart } from "./Chart";
import { lines, percent } from "./figures";

/** How often readers agreed with the models' drafts: the local watch over a model in use. */
export default function Agreement() {
  const { data, error, refetch } = useGet<AgreementRow[]>("/api/agreement");
  const [kind, setKind] = useState("all");
  const shown = lines(data ?? [], kind === "all" ? "" : kind);
  const kinds = [...new Set((data ?? []).map((row) => row.kind))].sort();
  return (
    <Page
      title="Agreement"
      lead="What readers made of the models' findings and sentences, by month and model. A fall is a reason to look at the model, the scanner or the patients."
      tools={
        kinds.length > 1 && (
          <Select
            label="Verdicts on"
            hideLabel
            value={kind}
            onChange={setKind}
            options={[{ id: "all", label: "All statements" }, ...kinds.map((id) => ({ id, label: `Only: ${id}` }))]}
          />
        )
      }
    >
      {!data ? (
        error ? (
          <ErrorState error={error} retry={() => void refetch()} />
        ) : (
          <Loading />
        )
      ) : shown.length === 0 ? (
        <EmptyState title="No verdicts yet">
          They come with the work: accepting, editing or rejecting what a draft says, and signing.
        </EmptyState>
      ) : (
        <>
          <Section title="Accepted, of all that was judged">
            <Chart lines={shown} />
          </Section>
          <Section title="Figures">
            <p className={styles.note}>
              Agreed is the share of accepted statements among those that were judged. Sentences that were signed as
              they were drafted, without being judged, are counted apart: they say nothing of agreement.
            </p>
            <Table
              label="Verdicts"
              head={[
                "Month",
                "Model",
                "Accepted",
                "Edited",
                "Rejected",
                "Added by readers",
                "Unchanged, not judged",
                "Judged",
                "Agreed",
              ]}
            >
              {shown
                .flatMap((line) => line.points.map((point) => ({ ...point, model: line.model })))
                .sort((a, b) => b.month.localeCompare(a.month) || a.model.localeCompare(b.model))
                .map((point) => (
                  <tr key={`${point.month} ${point.model}`}>
                    <td>{point.month}</td>
                    <td>{point.model}</td>
                    <td>{point.accepted}</td>
                    <td>{point.edited}</td>
                    <td>{point.rejected}</td>
                    <td>{point.added}</td>
                    <td>{point.unchanged}</td>
                    <td>{point.judged}</td>
                    <td>{percent(point.agreed)}</td>
                  </tr>
                ))}
            </Table>
          </Section>
        </>
      )}
    </Page>
  );
}
