import { useState } from "react";
import { Link, useParams, useSearchParams } from "react-router";
import { at } from "../../api/client";
import { useStudy } from "../../api/queries";
import type { DocumentFormat, SignedReport, Study } from "../../api/types";
import { Badge, StateBadge } from "../../shell/Badge";
import { Button } from "../../shell/Button";
import { Select } from "../../shell/Field";
import { day, moment, personName } from "../../shell/format";
import { Back } from "../../shell/icons";
import { EmptyState, ErrorState, Loading } from "../../shell/states";
import { Tabs } from "../../shell/Tabs";
import { useTitle } from "../../shell/useTitle";
import { Deliveries } from "./Deliveries";
import { DocumentView } from "./DocumentView";
import styles from "./Report.module.css";
import { useDownload } from "./useDownload";

const FORMATS: { id: DocumentFormat; label: string }[] = [
  { id: "pdf", label: "PDF" },
  { id: "sr", label: "DICOM SR" },
  { id: "fhir", label: "FHIR" },
  { id: "text", label: "Text" },
];

/** What leaves the house: each document as the receivers get it, where it went, and downloads. */
export default function Report() {
  useTitle("Report");
  const { uid = "" } = useParams();
  const { data: study, error, refetch } = useStudy(uid);
  if (error && !study) return <ErrorState error={error} retry={() => void refetch()} />;
  if (!study) return <Loading />;
  return <Shown study={study} />;
}

/** The text as it stands now, or a signed version. */
type Which = "now" | `${number}`;

function Shown({ study }: { study: Study }) {
  const uid = study.study;
  const [search, setSearch] = useSearchParams();
  const format = FORMATS.find((each) => each.id === search.get("format"))?.id ?? "pdf";
  const last = study.reports.at(-1);
  const unsigned = study.text !== null && (last === undefined || study.state === "preliminary");
  const [which, setWhich] = useState<Which>(unsigned || !last ? "now" : `${last.number}`);
  const report = study.reports.find((each) => `${each.number}` === which);
  const path =
    which === "now" ? at("studies", uid, "preview") : at("studies", uid, "reports", Number(which), "document");
  const options = [
    ...(unsigned || which === "now" ? [{ id: "now" as Which, label: "The text as it stands (draft)" }] : []),
    ...study.reports.map((each) => ({ id: `${each.number}` as Which, label: titleOf(each) })).reverse(),
  ];
  const [download, saving] = useDownload();
  if (study.text === null && last === undefined)
    return (
      <EmptyState
        title="There is no report yet"
        actions={<Link to={`/study/${encodeURIComponent(uid)}`}>Open the study</Link>}
      >
        What leaves is shown here as soon as there is a text.
      </EmptyState>
    );
  return (
    <div className={styles.page}>
      <header className={styles.header}>
        <Link to={`/study/${encodeURIComponent(uid)}`} className={styles.back} aria-label="Back to the study">
          <Back />
        </Link>
        <div className={styles.who}>
          <h1>{personName(study.patient.name) || "No name"}</h1>
          <span>
            {[study.patient.identifier, study.about.description, day(study.about.date)].filter(Boolean).join(" · ")}
          </span>
        </div>
        <StateBadge state={study.state} />
        {which === "now" && (
          <Badge tone="urgent">
            {study.state === "preliminary" ? "Signed once: no document yet" : "Draft: not signed"}
          </Badge>
        )}
        <div className={styles.version}>
          <Select label="Version" hideLabel options={options} value={which} onChange={setWhich} />
        </div>
      </header>
      <div className={styles.columns}>
        <div className={styles.documents}>
          <Tabs
            label="Documents"
            selected={format}
            onSelect={(id) => setSearch({ format: id }, { replace: true })}
            tabs={FORMATS.map((each) => ({
              id: each.id,
              label: each.label,
              content: (
                <DocumentView
                  key={`${which} ${each.id}`}
                  path={path}
                  format={each.id}
                  revision={study.text?.number ?? 0}
                />
              ),
            }))}
          />
        </div>
        <aside className={styles.side} aria-label="Downloads and deliveries">
          <section>
            <h2>Download</h2>
            <div className={styles.downloads}>
              {[...FORMATS, { id: "json" as const, label: "JSON" }].map((each) => (
                <Button
                  key={each.id}
                  size="small"
                  isDisabled={saving !== null}
                  onPress={() => void download(path, each.id)}
                >
                  {each.label}
                </Button>
              ))}
            </div>
            {which === "now" && (
              <p className={styles.quiet}>
                A draft: its mark is on each document. Nothing leaves by itself before a signature.
              </p>
            )}
          </section>
          {report && <Signatures report={report} />}
          <Deliveries report={report ?? null} />
        </aside>
      </div>
    </div>
  );
}

function titleOf(report: SignedReport): string {
  return `Version ${report.number}: ${report.kind}, ${moment(report.at)}`;
}

function Signatures({ report }: { report: SignedReport }) {
  return (
    <section>
      <h2>Signed</h2>
      <ul className={styles.list}>
        {report.signatures.map((each) => (
          <li key={`${each.login} ${each.at}`}>
            <strong>{personName(each.name)}</strong>
            <span className={styles.quiet}>
              {each.meaning}, {moment(each.at)}
            </span>
          </li>
        ))}
      </ul>
      <p className={styles.digest} title="SHA-256 of what the signatures cover">
        {report.digest}
      </p>
    </section>
  );
}
