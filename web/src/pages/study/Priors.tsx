import { Button as AriaButton, Dialog, DialogTrigger, Popover } from "react-aria-components";
import type { Prior, Study } from "../../api/types";
import { Badge } from "../../shell/Badge";
import { Button } from "../../shell/Button";
import { day } from "../../shell/format";
import { Chevron } from "../../shell/icons";
import { Fetch, LookAgain } from "./Archives";
import styles from "./Priors.module.css";
import { isLater, nearestPrior } from "./priors";

export interface PriorsProps {
  /** Whose priors they are. */
  study: Study;
  beside: Prior | null;
  /** A reader may ask archives; others see what is there. */
  reads: boolean;
  onPrior(prior: Prior | null): void;
}

/** Earlier studies. Sure ones stand beside with one click; possible ones are marked, and shown only when asked for. */
export function Priors({ study, beside, reads, onPrior }: PriorsProps) {
  const { priors, archives } = study;
  const sure = priors.filter((each) => each.certain);
  const possible = priors.filter((each) => !each.certain);
  const asks = reads && archives.length > 0;
  if (priors.length === 0 && !asks) return <span className={styles.none}>No priors</span>;
  const nearest = nearestPrior(study);
  const coming = priors.some((each) => each.fetching === "asked");
  return (
    <div className={styles.priors}>
      {nearest && (
        <Button
          size="small"
          kind={beside?.study === nearest.study ? "primary" : "plain"}
          aria-pressed={beside?.study === nearest.study}
          onPress={() => onPrior(beside?.study === nearest.study ? null : nearest)}
        >
          Prior {day(nearest.date)}
        </Button>
      )}
      <DialogTrigger>
        <AriaButton className={styles.all ?? ""}>
          {words(sure.length, possible.length)}
          {coming && ", one on its way"} <Chevron />
        </AriaButton>
        <Popover className={styles.popover ?? ""} placement="bottom end">
          <Dialog className={styles.dialog ?? ""} aria-label="Priors">
            {({ close }) => (
              <>
                {priors.length === 0 && <p className={styles.empty}>No other study of this patient is known here.</p>}
                <ul className={styles.list}>
                  {[...sure, ...possible].map((each) => (
                    <Row
                      key={each.study}
                      study={study}
                      prior={each}
                      asks={asks}
                      shown={beside?.study === each.study}
                      onPrior={(prior) => {
                        onPrior(prior);
                        close();
                      }}
                    />
                  ))}
                </ul>
                {asks && <LookAgain study={study.study} archives={archives} />}
              </>
            )}
          </Dialog>
        </Popover>
      </DialogTrigger>
    </div>
  );
}

function words(sure: number, possible: number): string {
  if (sure + possible === 0) return "No priors";
  if (possible === 0) return sure === 1 ? "1 other study" : `${sure} other studies`;
  return sure === 0 ? `${possible} possible` : `${sure} other, ${possible} possible`;
}

interface RowProps {
  study: Study;
  prior: Prior;
  asks: boolean;
  shown: boolean;
  onPrior(prior: Prior | null): void;
}

function Row({ study, prior, asks, shown, onPrior }: RowProps) {
  return (
    <li className={styles.row}>
      <div className={styles.head}>
        <strong>{day(prior.date) || "no date"}</strong>
        <span>{prior.modalities.join(", ")}</span>
        <span className={styles.description} title={prior.description}>
          {prior.description}
        </span>
        {isLater(prior, study.about.date) && <Badge title="Made after the study that is open">later</Badge>}
        {!prior.certain && <Badge tone="urgent">possible</Badge>}
      </div>
      {!prior.certain && <p className={styles.why}>Not surely the same patient: {prior.why}</p>}
      {prior.impression && <p className={styles.impression}>{prior.impression}</p>}
      {prior.archive === "" ? (
        <Button size="small" onPress={() => onPrior(shown ? null : prior)}>
          {shown ? "Close" : prior.certain ? "Show beside" : "Show it nevertheless"}
        </Button>
      ) : (
        <Fetch study={study.study} prior={prior} asks={asks} />
      )}
    </li>
  );
}
