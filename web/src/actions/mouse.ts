import { usePreferences } from "../api/queries";

/** Buttons of the mouse over an image, and what each of them does: data that a user edits in the settings. */
export const BUTTONS = ["primary", "secondary", "auxiliary", "wheel"] as const;
export type MouseButton = (typeof BUTTONS)[number];
export const BUTTON_TITLES: Record<MouseButton, string> = {
  primary: "Left button",
  secondary: "Right button",
  auxiliary: "Middle button",
  wheel: "Wheel",
};

export const TOOLS = ["window", "pan", "zoom", "scroll", "length", "angle", "area"] as const;
export type MouseTool = (typeof TOOLS)[number];
export const TOOL_TITLES: Record<MouseTool, string> = {
  window: "Window (brightness and contrast)",
  pan: "Move the image",
  zoom: "Zoom",
  scroll: "Scroll through the images",
  length: "Measure a length",
  angle: "Measure an angle",
  area: "Measure an area",
};
/** Tools that the wheel can turn. */
export const WHEEL_TOOLS: readonly MouseTool[] = ["scroll", "zoom"];

export const DEFAULT_MOUSE: Record<MouseButton, MouseTool> = {
  primary: "window",
  secondary: "zoom",
  auxiliary: "pan",
  wheel: "scroll",
};

/** Return the mouse's tools with the user's own in place of the defaults; an unknown name is passed over. */
export function mouseTools(own: Record<string, string> = {}): Record<MouseButton, MouseTool> {
  const result = { ...DEFAULT_MOUSE };
  for (const button of BUTTONS) {
    const tool = (button === "wheel" ? WHEEL_TOOLS : TOOLS).find((one) => one === own[button]);
    if (tool) result[button] = tool;
  }
  return result;
}

/** The mouse's tools as the signed-in user set them. */
export function useMouseTools(): Record<MouseButton, MouseTool> {
  return mouseTools(usePreferences()[0].mouse);
}
