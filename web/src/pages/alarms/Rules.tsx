import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, at } from "../../api/client";
import { useGet } from "../../api/queries";
import type { RuleLine, Rules as RulesAnswer } from "../../api/types";
import { Badge } from "../../shell/Badge";
import { Button } from "../../shell/Button";
import { Dialog } from "../../shell/Dialog";
import { Field } from "../../shell/Field";
import { moment } from "../../shell/format";
import { Table } from "../../shell/Page";
import { ErrorLine, ErrorState, Loading } from "../../shell/states";
import styles from "./Alarms.module.css";

/** The rules of the watch: read here, written as files, switched by administrators. */
export function Rules() {
  const { data, error, refetch } = useGet<RulesAnswer>(at("rules"));
  const [switching, setSwitching] = useState<RuleLine | null>(null);
  if (!data) return error ? <ErrorState error={error} retry={() => void refetch()} /> : <Loading />;
  return (
    <div className={styles.rules}>
      <p className={styles.quiet}>
        {data.rules.filter((each) => each.state === "in use").length} rules are in use.{" "}
        {data.folder ? `The site's own are in ${data.folder}.` : "The site has no folder of its own rules."} A rule is
        changed by a file with a higher version (docs/monitor.md).
      </p>
      <Table
        label="Rules"
        head={["Rule", "State", "For", "Source", "Author, approved", "Alarms", data.may_switch ? "" : null]}
      >
        {data.rules.map((rule) => (
          <tr key={`${rule.id} ${rule.version}`}>
            <td>
              <strong>{rule.title}</strong>
              <br />
              <span className={styles.quiet}>
                {rule.id} {rule.version}, {rule.kind}
              </span>
            </td>
            <td>
              <Badge tone={rule.state === "in use" ? "good" : "urgent"} title={rule.note}>
                {rule.state}
              </Badge>
              {rule.note && <div className={styles.quiet}>{rule.note}</div>}
            </td>
            <td>{rule.applies}</td>
            <td className={styles.citation}>{rule.source}</td>
            <td>
              {rule.author}
              <br />
              <span className={styles.quiet}>
                {rule.approved_by}, {rule.approved_at}
              </span>
            </td>
            <td>{rule.alarms}</td>
            <td>
              {data.may_switch && (rule.state === "in use" || rule.state === "switched off") && (
                <Button size="small" onPress={() => setSwitching(rule)}>
                  {rule.state === "in use" ? "Switch off" : "Switch on"}
                </Button>
              )}
            </td>
          </tr>
        ))}
      </Table>
      {data.changes.length > 0 && (
        <>
          <h2 className={styles.sub}>Switched</h2>
          <ol className={styles.history}>
            {data.changes.map((each) => (
              <li key={`${each.rule} ${each.at}`}>
                <time>{moment(each.at, true)}</time> {each.rule} {each.on ? "on" : "off"} by {each.login}
                <span className={styles.quiet}>: {each.why}</span>
              </li>
            ))}
          </ol>
        </>
      )}
      {switching && <Switch rule={switching} onClose={() => setSwitching(null)} />}
    </div>
  );
}

function Switch({ rule, onClose }: { rule: RuleLine; onClose(): void }) {
  const queries = useQueryClient();
  const [why, setWhy] = useState("");
  const on = rule.state !== "in use";
  const { mutate, isPending, error } = useMutation({
    mutationFn: () => api.put<RulesAnswer>(at("rules", rule.id), { on, why: why.trim() }),
    onSuccess: (answer) => {
      queries.setQueryData([at("rules"), {}], answer);
      onClose();
    },
  });
  const send = (event: FormEvent) => {
    event.preventDefault();
    if (why.trim() && !isPending) mutate();
  };
  return (
    <Dialog title={on ? `Switch ${rule.title} on` : `Switch ${rule.title} off`} isOpen onClose={onClose} size="small">
      <form onSubmit={send} className={styles.form}>
        <p className={styles.quiet}>
          {on
            ? "Every record is judged by it again."
            : "It raises nothing any more, and what it raised ends as not applicable. Everybody sees who switched it off."}
        </p>
        <Field label="Why" value={why} onChange={setWhy} maxLength={1000} lines={3} autoFocus />
        <ErrorLine error={error} />
        <div className={styles.end}>
          <Button onPress={onClose}>Cancel</Button>
          <Button type="submit" kind={on ? "primary" : "danger"} isDisabled={!why.trim() || isPending}>
            {on ? "Switch on" : "Switch off"}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
