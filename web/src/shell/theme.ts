/** What is shown. */
export type Theme = "dark" | "light";
/** What a user chooses: "system" follows the computer. */
export type ThemeChoice = Theme | "system";

const KEPT = "aris-theme";
const LIGHT = "(prefers-color-scheme: light)";

let following: MediaQueryList | null = null;
const follow = () => paint(following?.matches ? "light" : "dark");

function paint(theme: Theme): void {
  document.documentElement.dataset.theme = theme;
}

function apply(choice: ThemeChoice): void {
  following?.removeEventListener("change", follow);
  following = choice === "system" ? window.matchMedia(LIGHT) : null;
  following?.addEventListener("change", follow);
  if (choice === "system") follow();
  else paint(choice);
}

/** The theme on the screen now. */
export function shownTheme(): Theme {
  return document.documentElement.dataset.theme === "light" ? "light" : "dark";
}

/** Show a theme, and remember it in this browser, so that the next start does not flash. */
export function showTheme(choice: ThemeChoice): void {
  apply(choice);
  try {
    localStorage.setItem(KEPT, choice);
  } catch {
    // A browser that keeps nothing: the preference on the server still counts.
  }
}

/** Show the theme of the last time; dark by default, as rooms where images are read are. */
export function showKeptTheme(): void {
  let kept: string | null = null;
  try {
    kept = localStorage.getItem(KEPT);
  } catch {
    kept = null;
  }
  apply(kept === "light" || kept === "system" ? kept : "dark");
}
