import { afterEach, expect, test, vi } from "vitest";
import { api } from "../../api/client";
import type { Study } from "../../api/types";
import { Opening } from "./opening";

const study = (uid: string) => ({ study: uid }) as Study;
afterEach(() => vi.restoreAllMocks());

test("a study that is asked for again while it is being opened is opened once", async () => {
  let answer: (study: Study) => void = () => undefined;
  const post = vi.spyOn(api, "post").mockImplementation(() => new Promise((done) => (answer = done as typeof answer)));
  const get = vi.spyOn(api, "get").mockResolvedValue(study("1.2"));
  const opening = new Opening();
  const both = [opening.study("1.2"), opening.study("1.2")];
  expect(opening.has("1.2")).toBe(false);
  answer(study("1.2"));
  await Promise.all(both);
  expect(post.mock.calls.map(([path]) => path)).toEqual(["/api/studies/1.2/open"]);
  expect(get).toHaveBeenCalledTimes(1);
  await opening.study("1.2");
  expect(post).toHaveBeenCalledTimes(1);
  expect(get).toHaveBeenCalledTimes(2);
});

test("what could not be opened is tried again, and what was left is opened anew", async () => {
  const post = vi.spyOn(api, "post").mockRejectedValueOnce(new Error("busy")).mockResolvedValue(study("1.2"));
  const opening = new Opening();
  await expect(opening.study("1.2")).rejects.toThrow("busy");
  await opening.study("1.2");
  expect(opening.has("1.2")).toBe(true);
  opening.left("1.2");
  await opening.study("1.2");
  expect(post).toHaveBeenCalledTimes(3);
});
