import { type ReactNode, useRef, useState } from "react";
import { words } from "../../api/client";
import type { PatientEntry, UploadedRecord } from "../../api/types";
import { sendFile } from "../../api/upload";
import { Button } from "../../shell/Button";
import { bytes } from "../../shell/format";
import styles from "./Patients.module.css";

interface Sending {
  name: string;
  size: number;
  share: number;
}

/** The upload of a record: chosen, sent with its progress said, then read by the server. */
export function useUpload(done: (patients: PatientEntry[]) => void): { choose(): void; line: ReactNode } {
  const input = useRef<HTMLInputElement>(null);
  const stop = useRef<AbortController>(undefined);
  const [sending, setSending] = useState<Sending | null>(null);
  const [said, setSaid] = useState<{ text: string; bad: boolean } | null>(null);
  const send = async (file: File) => {
    setSaid(null);
    setSending({ name: file.name, size: file.size, share: 0 });
    stop.current = new AbortController();
    try {
      const found = await sendFile<UploadedRecord>(
        "/api/records",
        file,
        { name: file.name },
        (share) => setSending({ name: file.name, size: file.size, share }),
        stop.current.signal,
      );
      setSaid({ text: outcome(found), bad: found.problems.length > 0 });
      done(found.patients);
    } catch (error) {
      if (!(error instanceof DOMException)) setSaid({ text: words(error), bad: true });
    } finally {
      setSending(null);
    }
  };
  const line = (
    <>
      <input
        ref={input}
        type="file"
        accept=".json,.ndjson,.jsonl,.gz"
        hidden
        aria-label="File of a record"
        onChange={(event) => {
          const file = event.target.files?.[0];
          event.target.value = "";
          if (file) void send(file);
        }}
      />
      {sending && (
        <p className={styles.line} role="status">
          {sending.share < 1
            ? `Sending ${sending.name}: ${Math.round(sending.share * 100)} % of ${bytes(sending.size)}`
            : `Reading ${sending.name} (${bytes(sending.size)})`}
          <Button size="small" onPress={() => stop.current?.abort()}>
            Stop
          </Button>
        </p>
      )}
      {said && (
        <p className={`${styles.line} ${said.bad ? styles.bad : ""}`} role={said.bad ? "alert" : "status"}>
          {said.text}
        </p>
      )}
    </>
  );
  return { choose: () => input.current?.click(), line };
}

function outcome(found: UploadedRecord): string {
  const many = found.patients.length === 1 ? "One record" : `${found.patients.length} records`;
  const known = found.known ? " (known already)" : "";
  const problems = found.problems.length > 0 ? `. Read with doubt: ${found.problems.slice(0, 3).join("; ")}` : "";
  return `${many}${known}${problems}`;
}
