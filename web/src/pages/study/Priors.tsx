import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Button as AriaButton, Dialog, DialogTrigger, Popover } from "react-aria-components";
import { api, at } from "../../api/client";
import { keys } from "../../api/queries";
import type { Prior, Study } from "../../api/types";
import { Badge } from "../../shell/Badge";
import { Button } from "../../shell/Button";
import { day } from "../../shell/format";
import { Chevron } from "../../shell/icons";
import { toastError } from "../../shell/toast";
import styles from "./Priors.module.css";

export interface PriorsProps {
  /** Whose priors they are. */
  study: string;
  priors: readonly Prior[];
  beside: Prior | null;
  onPrior(prior: Prior | null): void;
}

/** Earlier studies. Sure ones stand beside with one click; possible ones are marked, and shown only when asked for. */
export function Priors({ study, priors, beside, onPrior }: PriorsProps) {
  const sure = priors.filter((each) => each.certain);
  const possible = priors.filter((each) => !each.certain);
  if (priors.length === 0) return <span className={styles.none}>No priors</span>;
  const latest = sure.find((each) => each.archive === "");
  return (
    <div className={styles.priors}>
      {latest && (
        <Button
          size="small"
          kind={beside?.study === latest.study ? "primary" : "plain"}
          aria-pressed={beside?.study === latest.study}
          onPress={() => onPrior(beside?.study === latest.study ? null : latest)}
        >
          Prior {day(latest.date)}
        </Button>
      )}
      <DialogTrigger>
        <AriaButton className={styles.all ?? ""}>
          {words(sure.length, possible.length)} <Chevron />
        </AriaButton>
        <Popover className={styles.popover ?? ""} placement="bottom end">
          <Dialog className={styles.dialog ?? ""} aria-label="Priors">
            {({ close }) => (
              <ul className={styles.list}>
                {[...sure, ...possible].map((each) => (
                  <Row
                    key={each.study}
                    study={study}
                    prior={each}
                    shown={beside?.study === each.study}
                    onPrior={(prior) => {
                      onPrior(prior);
                      close();
                    }}
                  />
                ))}
              </ul>
            )}
          </Dialog>
        </Popover>
      </DialogTrigger>
    </div>
  );
}

function words(sure: number, possible: number): string {
  if (possible === 0) return sure === 1 ? "1 prior" : `${sure} priors`;
  return sure === 0 ? `${possible} possible` : `${sure} priors, ${possible} possible`;
}

interface RowProps {
  study: string;
  prior: Prior;
  shown: boolean;
  onPrior(prior: Prior | null): void;
}

function Row({ study, prior, shown, onPrior }: RowProps) {
  return (
    <li className={styles.row}>
      <div className={styles.head}>
        <strong>{day(prior.date) || "no date"}</strong>
        <span>{prior.modalities.join(", ")}</span>
        <span className={styles.description}>{prior.description}</span>
        {!prior.certain && <Badge tone="urgent">possible</Badge>}
      </div>
      {!prior.certain && <p className={styles.why}>Not surely the same patient: {prior.why}</p>}
      {prior.impression && <p className={styles.impression}>{prior.impression}</p>}
      {prior.archive === "" ? (
        <Button size="small" onPress={() => onPrior(shown ? null : prior)}>
          {shown ? "Close" : prior.certain ? "Show beside" : "Show it nevertheless"}
        </Button>
      ) : (
        <Fetch study={study} prior={prior} />
      )}
    </li>
  );
}

/** A prior that is still in an archive: fetched when it is asked for. */
function Fetch({ study, prior }: { study: string; prior: Prior }) {
  const queries = useQueryClient();
  const { mutate, isPending } = useMutation({
    mutationFn: (path: string) => api.post<Study>(path),
    onSuccess: () => queries.invalidateQueries({ queryKey: keys.study(study) }),
    onError: toastError,
  });
  if (prior.fetching === "asked")
    return (
      <p className={styles.fetch}>
        Being fetched from {prior.archive}…
        <Button size="small" isDisabled={isPending} onPress={() => mutate(at("studies", study, "priors", "look"))}>
          Look again
        </Button>
      </p>
    );
  return (
    <p className={styles.fetch}>
      {prior.fetching === "failed" ? `It could not be fetched: ${prior.error}` : `In ${prior.archive}`}
      <Button
        size="small"
        isDisabled={isPending}
        onPress={() => mutate(at("studies", study, "priors", prior.study, "fetch"))}
      >
        Fetch
      </Button>
    </p>
  );
}
