export type Theme = "dark" | "light";

const KEPT = "aris-theme";

/** Show a theme, and remember it in this browser, so that the next start does not flash. */
export function showTheme(theme: Theme): void {
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem(KEPT, theme);
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
  document.documentElement.dataset.theme = kept === "light" ? "light" : "dark";
}
