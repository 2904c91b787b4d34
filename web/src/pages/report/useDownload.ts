import { useState } from "react";
import { respond } from "../../api/client";
import type { DocumentFormat } from "../../api/types";
import { toastError } from "../../shell/toast";

const SUFFIX: Record<DocumentFormat, string> = { pdf: "pdf", sr: "dcm", fhir: "json", text: "txt", json: "json" };

/** Download a document under the name that the server gives it; also which one is on its way. */
export function useDownload(): [(path: string, format: DocumentFormat) => Promise<void>, DocumentFormat | null] {
  const [saving, setSaving] = useState<DocumentFormat | null>(null);
  const download = async (path: string, format: DocumentFormat) => {
    setSaving(format);
    try {
      const response = await respond("GET", path, { query: { format }, headers: { Accept: "*/*" } });
      const named = /filename="?([^";]+)"?/.exec(response.headers.get("Content-Disposition") ?? "")?.[1];
      const address = URL.createObjectURL(await response.blob());
      const link = document.createElement("a");
      link.href = address;
      link.download = named ?? `report.${SUFFIX[format]}`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
    } catch (error) {
      toastError(error);
    }
    setSaving(null);
  };
  return [download, saving];
}
