import type { Prior, Study } from "../../api/types";

/** Whether a study was made after the one in hand (both days known): it is shown beside like a prior, and is none. */
export const isLater = (prior: Pick<Prior, "date">, day: string): boolean => day !== "" && prior.date > day;

/** The earlier study that one key puts beside: surely this patient's, here, not later; of the same kind if there is one, then the
 *  latest. */
export function nearestPrior(study: Pick<Study, "priors" | "about" | "series">): Prior | undefined {
  const own = new Set(study.series.filter(({ frames }) => frames > 0).map(({ modality }) => modality));
  const alike = (prior: Prior) => prior.modalities.some((each) => own.has(each));
  return study.priors
    .filter((each) => each.certain && each.archive === "" && !isLater(each, study.about.date))
    .sort((a, b) => Number(alike(b)) - Number(alike(a)) || b.date.localeCompare(a.date))[0];
}
