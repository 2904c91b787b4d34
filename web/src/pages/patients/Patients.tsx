import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { Link, useNavigate, useSearchParams } from "react-router";
import { useActions } from "../../actions/registry";
import { api, at } from "../../api/client";
import { useLive } from "../../api/live";
import { useSession } from "../../api/queries";
import type { PatientsPage } from "../../api/types";
import { Badge } from "../../shell/Badge";
import { ActionButton, Button } from "../../shell/Button";
import { Field } from "../../shell/Field";
import { moment } from "../../shell/format";
import { Alert } from "../../shell/icons";
import { Page, Table } from "../../shell/Page";
import { EmptyState, ErrorState, Loading } from "../../shell/states";
import { countWords, worstTone } from "../patient/severity";
import styles from "./Patients.module.css";
import { Sources } from "./Sources";
import { useUpload } from "./useUpload";

const PAGE = 100;

/** The patients whose records are here: found by name, number or birth date. */
export default function Patients() {
  const [params, setParams] = useSearchParams();
  const navigate = useNavigate();
  const text = params.get("text") ?? "";
  const [limit, setLimit] = useState(PAGE);
  const search = useRef<HTMLDivElement>(null);
  const reads = useSession().data?.user?.role.includes("reader") ?? false;
  const { data, error, refetch } = useQuery({
    queryKey: [at("patients"), { text, limit }],
    queryFn: ({ signal }) => api.get<PatientsPage>(at("patients"), { text, limit }, signal),
    placeholderData: keepPreviousData,
    staleTime: 0,
    refetchInterval: ({ state }) => (state.data?.sources.some((each) => each.state === "reading") ? 2000 : 30_000),
  });
  useLive((event) => event.event === "alarm" && void refetch());
  const upload = useUpload((patients) => {
    void refetch();
    const only = patients.length === 1 ? patients[0] : undefined;
    if (only) void navigate(`/patient/${only.id}`);
  });
  useActions({
    "patients.search": () => search.current?.querySelector("input")?.focus(),
    "patients.upload": reads && upload.choose,
  });
  const narrow = (value: string) => {
    setLimit(PAGE);
    setParams(value ? { text: value } : {}, { replace: true });
  };
  return (
    <Page
      title="Patients"
      lead="Records that the site's sources hold, and those that readers uploaded. Each is one source's; none are merged."
      tools={
        reads && (
          <ActionButton action="patients.upload" kind="primary">
            Upload a record
          </ActionButton>
        )
      }
    >
      {upload.line}
      <div className={styles.tools} ref={search}>
        <Field
          label="Search"
          hideLabel
          placeholder="Name, number or birth date"
          value={text}
          onChange={narrow}
          maxLength={200}
        />
        {data && <Sources sources={data.sources} />}
      </div>
      {!data ? (
        error ? (
          <ErrorState error={error} retry={() => void refetch()} />
        ) : (
          <Loading />
        )
      ) : data.total === 0 ? (
        text ? (
          <EmptyState title="No patient fits" actions={<Button onPress={() => narrow("")}>Clear the search</Button>} />
        ) : (
          <EmptyState title="No records yet">
            Upload a FHIR R4 bundle, name a folder or a FHIR server in the site's settings (docs/patient.md), or add the
            sample studies, which bring two sample records.
          </EmptyState>
        )
      ) : (
        <>
          <Table label="Patients" head={["Name", "Born", "Sex", "Numbers", "Alarms", "Entries", "Up to", "Source"]}>
            {data.entries.map((each) => (
              <tr key={each.id}>
                <td>
                  <Link to={`/patient/${each.id}`} className={styles.name}>
                    {each.name || "No name"}
                  </Link>
                </td>
                <td className={styles.when}>{each.birth_date}</td>
                <td className={styles.when}>{each.sex}</td>
                <td>{[...new Set(each.identifiers.map((one) => one.value))].slice(0, 2).join(", ")}</td>
                <td>
                  {countWords(each.alarms) && (
                    <Badge tone={worstTone(each.alarms)}>
                      <Alert />
                      {countWords(each.alarms)}
                    </Badge>
                  )}
                </td>
                <td>{each.entries.toLocaleString("en")}</td>
                <td className={styles.when}>{moment(each.newest)}</td>
                <td className={styles.source}>{each.uploaded ? `uploaded: ${each.source}` : each.source}</td>
              </tr>
            ))}
          </Table>
          <p className={styles.sum} role="status">
            {data.entries.length < data.total
              ? `${data.entries.length} of ${data.total} records. `
              : `${data.total} records`}
            {data.entries.length < data.total && limit < 500 && (
              <Button size="small" onPress={() => setLimit(500)}>
                Show more
              </Button>
            )}
          </p>
        </>
      )}
    </Page>
  );
}
