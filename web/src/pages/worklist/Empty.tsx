import { useState } from "react";
import { api } from "../../api/client";
import { useSession } from "../../api/queries";
import type { Uploaded } from "../../api/types";
import { ActionButton, Button } from "../../shell/Button";
import { EmptyState } from "../../shell/states";
import { toast, toastError } from "../../shell/toast";
import type { Rows } from "./rows";
import { narrowed, type WorklistSearch } from "./search";

interface EmptyProps {
  search: WorklistSearch;
  rows: Rows;
  onClear: () => void;
  onLoaded: () => void;
}

/** A list without rows: nothing fits, all is read, or nothing has come yet. */
export function Empty({ search, rows, onClear, onLoaded }: EmptyProps) {
  const { data: session } = useSession();
  const [busy, setBusy] = useState(false);
  const all = Object.values(rows.counts ?? {}).reduce((sum, count) => sum + count, 0);
  const load = async () => {
    setBusy(true);
    try {
      const done = await api.post<Uploaded>("/api/demo");
      toast(`${done.studies.length || done.added} sample studies are loaded.`, { tone: "good" });
      onLoaded();
    } catch (error) {
      toastError(error);
    } finally {
      setBusy(false);
    }
  };
  if (narrowed(search))
    return (
      <EmptyState
        title="No study fits this search"
        actions={<Button onPress={onClear}>Clear search and filters</Button>}
      >
        {all.toLocaleString("en")} studies are in the store.
      </EmptyState>
    );
  if (all > 0)
    return (
      <EmptyState title="Everything is read">
        New studies appear here as they arrive. Signed ones are under the states final, amended and addendum.
      </EmptyState>
    );
  return (
    <EmptyState
      title="No studies yet"
      actions={
        <>
          <ActionButton action="worklist.upload">Upload images</ActionButton>
          {session?.site.demo_available && session.user?.role.includes("reader") && (
            <Button kind="primary" onPress={() => void load()} isDisabled={busy}>
              {busy ? "Loading sample studies" : "Load sample studies"}
            </Button>
          )}
        </>
      }
    >
      Send images from a DICOM node, or drop DICOM files, a zip or pictures anywhere on this page.
    </EmptyState>
  );
}
