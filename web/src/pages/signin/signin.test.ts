// @vitest-environment node
import { expect, test } from "vitest";
import { acceptable, advice } from "./password";
import { safeNext } from "./useSignIn";

test("after signing in nobody is sent to another house", () => {
  expect(
    ["/study/1.2?x=1", "//evil.example", "https://evil.example", "/\\evil", "/signin", "/api/x", null].map(safeNext),
  ).toEqual(["/study/1.2?x=1", "/", "/", "/", "/", "/", "/"]);
});

test("length makes a password, signs and digits are not asked for", () => {
  expect(acceptable("four quiet words here", "eva")).toBe(true);
  expect(acceptable("Sh0rt!", "eva")).toBe(false);
  expect(acceptable("aaaaaaaaaaaaaaaaaaaa")).toBe(false);
  expect(acceptable("hartmann hartmann hartmann", "hartmann")).toBe(false);
  expect(advice("").every((one) => !one.met)).toBe(true);
});
