import { useInfiniteQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { useSearchParams } from "react-router";
import { api } from "../../api/client";
import type { AuditPage } from "../../api/types";
import { Button } from "../../shell/Button";
import { Field, Select } from "../../shell/Field";
import { Page, Table } from "../../shell/Page";
import { EmptyState, ErrorState, Loading } from "../../shell/states";
import styles from "./Audit.module.css";
import { Row } from "./Row";
import { exportAll, Verify } from "./Verify";

/** Who did what: every view, edit, signature, export and failed sign-in, newest first. */
export default function Audit() {
  const [params, setParams] = useSearchParams();
  const filter = {
    user: params.get("user") ?? "",
    action: params.get("action") ?? "",
    study: params.get("study") ?? "",
  };
  const { data, error, refetch, fetchNextPage, hasNextPage, isFetchingNextPage } = useInfiniteQuery({
    queryKey: ["/api/audit", filter],
    queryFn: ({ pageParam, signal }) =>
      api.get<AuditPage>("/api/audit", { ...filter, limit: 100, before: pageParam ?? undefined }, signal),
    initialPageParam: null as number | null,
    getNextPageParam: (last) => last.next,
    staleTime: 0,
  });
  const narrow = (name: string, value: string) => {
    const next = new URLSearchParams(params);
    if (value.trim()) next.set(name, value.trim());
    else next.delete(name);
    setParams(next, { replace: true });
  };
  const events = data?.pages.flatMap((page) => page.events) ?? [];
  const actions = data?.pages[0]?.actions ?? [];
  return (
    <Page
      title="Audit trail"
      lead="Every view, edit, signature, export and failed sign-in, in a chain that shows any change."
      tools={
        <>
          <Button onPress={() => void refetch()}>Refresh</Button>
          <Button onPress={exportAll}>Export as FHIR</Button>
        </>
      }
    >
      <Verify />
      <div className={styles.filters}>
        <Typed label="User" value={filter.user} onChange={(value) => narrow("user", value)} />
        <Select
          label="Action"
          value={filter.action || "all"}
          onChange={(value) => narrow("action", value === "all" ? "" : value)}
          options={[
            { id: "all", label: "All actions" },
            ...[...new Set([...actions, filter.action].filter(Boolean))].map((id) => ({ id, label: id })),
          ]}
        />
        <Typed label="Study" value={filter.study} onChange={(value) => narrow("study", value)} />
      </div>
      {!data ? (
        error ? (
          <ErrorState error={error} retry={() => void refetch()} />
        ) : (
          <Loading />
        )
      ) : events.length === 0 ? (
        <EmptyState title="No events fit" actions={<Button onPress={() => setParams({})}>Clear the filters</Button>} />
      ) : (
        <>
          <Table label="Events" head={["No.", "When", "User", "Action", "About", "Outcome", "Detail"]}>
            {events.map((event) => (
              <Row key={event.number} event={event} onStudy={(study) => narrow("study", study)} />
            ))}
          </Table>
          {hasNextPage && (
            <p className={styles.more}>
              <Button onPress={() => void fetchNextPage()} isDisabled={isFetchingNextPage}>
                {isFetchingNextPage ? "Loading" : "Show older events"}
              </Button>
            </p>
          )}
        </>
      )}
    </Page>
  );
}

/** Typing is waited for so long before the server is asked. */
const PAUSE_MS = 350;

/** A filter that acts a moment after the last key, at once on Enter or when it is left. */
function Typed({ label, value, onChange }: { label: string; value: string; onChange: (value: string) => void }) {
  const [text, setText] = useState(value);
  const [shown, setShown] = useState(value);
  if (value !== shown) {
    setShown(value);
    // What is still being typed is not taken back by what was typed before.
    if (value !== text.trim()) setText(value);
  }
  const latest = useRef(onChange);
  useEffect(() => {
    latest.current = onChange;
  });
  useEffect(() => {
    if (text.trim() === value) return;
    const waiting = setTimeout(() => latest.current(text), PAUSE_MS);
    return () => clearTimeout(waiting);
  }, [text, value]);
  return (
    <Field
      label={label}
      value={text}
      onChange={setText}
      maxLength={64}
      onBlur={() => onChange(text)}
      onKeyDown={(event) => event.key === "Enter" && onChange(text)}
    />
  );
}
