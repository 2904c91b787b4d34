import { expect, test } from "vitest";
import { isPriorOf } from "../../api/live";
import type { Prior, Study } from "../../api/types";
import { isLater, nearestPrior } from "./priors";

const prior = (study: string, date: string, modality: string, more: Partial<Prior> = {}): Prior => ({
  study,
  date,
  description: "",
  modalities: [modality],
  certain: true,
  why: "",
  state: "final",
  impression: "",
  archive: "",
  fetching: "",
  error: "",
  ...more,
});
const study = (...priors: Prior[]) =>
  ({ priors, about: { date: "20260110" }, series: [{ modality: "CT", frames: 40 }] }) as unknown as Study;

test("the prior of one key is earlier, sure, here, and of the same kind where there is one", () => {
  const old = prior("old", "20200101", "CT");
  const film = prior("film", "20250101", "DX");
  expect(nearestPrior(study(film, old))?.study).toBe("old");
  expect(nearestPrior(study(prior("older", "20190101", "CT"), old))?.study).toBe("old");
  expect(nearestPrior(study(film))?.study).toBe("film");
  expect(
    nearestPrior(
      study(
        prior("later", "20260111", "CT"),
        prior("unsure", "20250101", "CT", { certain: false }),
        prior("away", "20250101", "CT", { archive: "pacs" }),
      ),
    ),
  ).toBeUndefined();
});

test("later is said only of days that are known", () => {
  expect(isLater({ date: "20260111" }, "20260110")).toBe(true);
  expect(isLater({ date: "20260110" }, "20260110")).toBe(false);
  expect(isLater({ date: "" }, "20260110") || isLater({ date: "20260111" }, "")).toBe(false);
});

test("a study that was fetched is asked for anew where it is a prior", () => {
  expect(isPriorOf(study(prior("old", "20200101", "CT")), "old")).toBe(true);
  expect(isPriorOf(study(), "old") || isPriorOf(undefined, "old")).toBe(false);
});
