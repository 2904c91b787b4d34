import { useMutation, useQueryClient } from "@tanstack/react-query";
import { api, at, words } from "../../api/client";
import { keys } from "../../api/queries";
import type { Prior, Study } from "../../api/types";
import { Button } from "../../shell/Button";
import styles from "./Priors.module.css";

/** An act on a study's priors, whose answer is the study. */
function useAsked(study: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (path: string) => api.post<Study>(path),
    // Also where it failed: what other archives have is kept.
    onSettled: () => queries.invalidateQueries({ queryKey: keys.study(study) }),
  });
}

/** Asks the site's archives for other studies of the patient. */
export function LookAgain({ study, archives }: { study: string; archives: readonly string[] }) {
  const { mutate, isPending, isSuccess, error } = useAsked(study);
  return (
    <div className={styles.look}>
      <Button size="small" isDisabled={isPending} onPress={() => mutate(at("studies", study, "priors", "look"))}>
        Look again
      </Button>
      <span role="status" className={error ? styles.wrong : styles.quiet}>
        {isPending
          ? `Asking ${archives.join(", ")}…`
          : error
            ? words(error)
            : isSuccess
              ? "Asked just now: this is what there is."
              : `in ${archives.join(", ")}`}
      </span>
    </div>
  );
}

/** A prior that is still in an archive: fetched when it is asked for. */
export function Fetch({ study, prior, asks }: { study: string; prior: Prior; asks: boolean }) {
  const { mutate, isPending, error } = useAsked(study);
  const fetching = prior.fetching === "asked";
  const said = fetching
    ? prior.error
      ? `Being fetched from ${prior.archive}; the last attempt failed (${prior.error}), it is tried again`
      : `Being fetched from ${prior.archive}…`
    : prior.fetching === "failed"
      ? `It could not be fetched from ${prior.archive}: ${prior.error}`
      : `In ${prior.archive}`;
  return (
    <div className={styles.fetch}>
      {asks && !fetching && (
        <Button
          size="small"
          isDisabled={isPending}
          onPress={() => mutate(at("studies", study, "priors", prior.study, "fetch"))}
        >
          {prior.fetching === "failed" ? "Fetch again" : "Fetch"}
        </Button>
      )}
      <span role="status" className={prior.error || error ? styles.wrong : styles.quiet}>
        {error ? words(error) : said}
      </span>
    </div>
  );
}
