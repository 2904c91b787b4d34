// @vitest-environment node
import { afterEach, expect, test, vi } from "vitest";
import { ApiError, api, at, endsSession, onSignedOut, setCsrf, withQuery } from "./client";

type Answer = [status: number, body: unknown];

function answers(...list: Answer[]) {
  const asked: { path: string; init: RequestInit }[] = [];
  vi.stubGlobal("fetch", async (path: string, init: RequestInit) => {
    asked.push({ path, init });
    const [status, body] = list.shift() ?? [500, ""];
    return new Response(status === 204 ? null : typeof body === "string" ? body : JSON.stringify(body), { status });
  });
  return asked;
}
const refused = (code: string, message = "no") => ({ error: { code, message } });

afterEach(() => vi.unstubAllGlobals());

test("each part of an address is escaped, lists repeat their name and empty values are left out", () => {
  expect(at("studies", "1.2/../x?y")).toBe("/api/studies/1.2%2F..%2Fx%3Fy");
  expect(withQuery("/a", { state: ["final", "opened"], text: "", none: null, limit: 0, name: "Ü&b" })).toBe(
    "/a?state=final&state=opened&limit=0&name=%C3%9C%26b",
  );
});

test("a change carries the CSRF token, a question does not", async () => {
  setCsrf("token");
  const asked = answers([200, {}], [200, {}]);
  await api.get("/api/x");
  await api.post("/api/x", { a: 1 });
  expect(new Headers(asked[0]?.init.headers).get("X-CSRF-Token")).toBeNull();
  expect(new Headers(asked[1]?.init.headers).get("X-CSRF-Token")).toBe("token");
  expect(asked[1]?.init.body).toBe('{"a":1}');
});

test("the server's words and code come through, and nonsense becomes plain words", async () => {
  answers(
    [409, refused("stale_text", "Another text came first.")],
    [502, "<html>"],
    [422, { detail: [{ loc: ["body", "age"], msg: "too old" }] }],
  );
  await expect(api.put("/api/x", {})).rejects.toMatchObject({
    status: 409,
    code: "stale_text",
    message: "Another text came first.",
  });
  await expect(api.get("/api/x")).rejects.toMatchObject({ status: 502, message: "The server is not running." });
  await expect(api.get("/api/x")).rejects.toMatchObject({ status: 422, message: "age: too old" });
});

test("an answer without a body is undefined", async () => {
  answers([204, ""]);
  expect(await api.remove("/api/x")).toBeUndefined();
});

test("a stale CSRF token is renewed once and the change sent again", async () => {
  setCsrf("old");
  const asked = answers([403, refused("csrf")], [200, { csrf: "new" }], [200, { done: true }]);
  expect(await api.post("/api/x", { text: "kept" })).toEqual({ done: true });
  expect(new Headers(asked[2]?.init.headers).get("X-CSRF-Token")).toBe("new");
  expect(asked[2]?.init.body).toBe('{"text":"kept"}');
});

test("a token that stays wrong is an error and not a loop", async () => {
  const asked = answers([403, refused("csrf")], [200, { csrf: "new" }], [403, refused("csrf")]);
  await expect(api.post("/api/x", {})).rejects.toMatchObject({ status: 403 });
  expect(asked).toHaveLength(3);
});

test("an ended session is told to the listeners; a wrong password and a due proof are not", async () => {
  const told = vi.fn();
  const stop = onSignedOut(told);
  answers([401, refused("wrong_password")], [401, refused("proof_needed")], [401, refused("not_signed_in")]);
  for (const count of [0, 0, 1]) {
    await expect(api.post("/api/studies/1/sign", {})).rejects.toBeInstanceOf(ApiError);
    expect(told).toHaveBeenCalledTimes(count);
  }
  stop();
  expect(endsSession(new ApiError(403, "forbidden", ""))).toBe(false);
});

test("a server that is not reached is an error with status 0; a stopped call stays a stop", async () => {
  vi.stubGlobal("fetch", async () => {
    throw new TypeError("failed to fetch");
  });
  await expect(api.get("/api/x")).rejects.toMatchObject({ status: 0, code: "unreachable" });
  vi.stubGlobal("fetch", async () => {
    throw new DOMException("stopped", "AbortError");
  });
  await expect(api.get("/api/x")).rejects.toMatchObject({ name: "AbortError" });
});
