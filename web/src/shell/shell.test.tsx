import { act } from "react";
import { createRoot } from "react-dom/client";
import { expect, test } from "vitest";
import { ApiError } from "../api/client";
import { reasonBeside } from "./Badge";
import { Field } from "./Field";
import { Toasts, toastError } from "./toast";

test("an error said by the server does not hold back the next try of a form", async () => {
  (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
  const place = document.body.appendChild(document.createElement("div"));
  const root = createRoot(place);
  await act(async () =>
    root.render(
      <form>
        <Field
          label="Password"
          type="password"
          value="another one"
          onChange={() => undefined}
          isRequired
          error="Wrong."
        />
      </form>,
    ),
  );
  expect(place.textContent).toContain("Wrong.");
  expect(place.querySelector("input")?.getAttribute("aria-invalid")).toBe("true");
  expect(place.querySelector("form")?.checkValidity()).toBe(true);
  await act(async () => root.unmount());
});

test("an act that met an ended session is said not to be done", async () => {
  (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
  const place = document.body.appendChild(document.createElement("div"));
  const root = createRoot(place);
  await act(async () => root.render(<Toasts />));
  await act(async () => toastError(new ApiError(401, "not_signed_in", "sign in first")));
  expect(place.textContent).toContain("That was not done");
  await act(async () => toastError(new ApiError(401, "wrong_password", "the password is not right")));
  expect(place.textContent).toContain("the password is not right");
  await act(async () => root.unmount());
});

test("the reason beside a badge does not repeat its word", () => {
  const entry = {
    urgency: "routine",
    concern: 2,
    assessed: true,
    reason: "urgent: pneumonia 0.70: over the operating point",
  };
  expect(reasonBeside(entry as never)).toBe("pneumonia 0.70: over the operating point");
  expect(reasonBeside({ ...entry, reason: "waits 3 h" } as never)).toBe("waits 3 h");
});
