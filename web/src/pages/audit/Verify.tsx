import { useState } from "react";
import { api } from "../../api/client";
import type { Verified } from "../../api/types";
import { Button } from "../../shell/Button";
import { Alert, Check } from "../../shell/icons";
import { ErrorLine } from "../../shell/states";
import { toastError } from "../../shell/toast";
import styles from "./Audit.module.css";

/** Checks the whole chain on the server and says what came of it. */
export function Verify() {
  const [result, setResult] = useState<Verified | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const verify = async () => {
    setBusy(true);
    setError(null);
    try {
      setResult(await api.post<Verified>("/api/audit/verify"));
    } catch (failed) {
      setError(failed);
    } finally {
      setBusy(false);
    }
  };
  return (
    <div className={styles.verify}>
      <Button kind="primary" onPress={() => void verify()} isDisabled={busy}>
        {busy ? "Checking the trail" : "Verify the trail"}
      </Button>
      <div role="status" className={styles.result}>
        {result?.ok && (
          <span className={styles.good}>
            <Check /> {result.events.toLocaleString("en")} events checked: none changed, removed or reordered.
          </span>
        )}
        {result && !result.ok && (
          <div className={styles.bad}>
            <p>
              <Alert /> The trail is not as it was written:
            </p>
            <ul>
              {result.problems.map((problem) => (
                <li key={problem}>{problem}</li>
              ))}
            </ul>
          </div>
        )}
        <ErrorLine error={error} />
      </div>
    </div>
  );
}

const LARGEST = 100;

/** Save the whole trail as FHIR AuditEvents: the server gives it in parts, each a file. */
export async function exportAll(): Promise<void> {
  try {
    let path = "/api/audit/export";
    for (let part = 1; path && part <= LARGEST; part += 1) {
      const blob = await api.blob(path);
      const bundle = JSON.parse(await blob.text()) as { link?: { relation: string; url: string }[] };
      save(blob, part === 1 ? "audit.json" : `audit-${part}.json`);
      const next = bundle.link?.find((link) => link.relation === "next")?.url ?? "";
      path = next.startsWith("/api/audit/export") ? next : "";
    }
  } catch (error) {
    toastError(error);
  }
}

function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
