import { chordOf, worksInText } from "./chord";
import { type Action, CATALOGUE, chordsOf, offered, perform } from "./registry";

/** Return whether the focus is where plain keys write text. */
export function writesText(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable) return true;
  if (target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return true;
  if (target instanceof HTMLInputElement)
    return !["button", "checkbox", "radio", "range", "submit", "reset", "file", "color"].includes(target.type);
  return target.closest("[role=textbox], [role=searchbox], [role=combobox]") !== null;
}

// Enter, Space and the arrows belong to the control that has the focus.
const OWN_KEYS = new Set(["Enter", "Space", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Home", "End"]);
const TAKES_ENTER = "button, a[href], summary, input, select, [role=button], [role=link], [role=switch]";
const TAKES_ARROWS = "[role=menu], [role=listbox], [role=tablist], [role=radiogroup], [role=slider], input, select";

function keptByControl(chord: string, target: EventTarget | null): boolean {
  if (!OWN_KEYS.has(chord) || !(target instanceof Element)) return false;
  if (target.closest(TAKES_ARROWS)) return true;
  return (chord === "Enter" || chord === "Space") && target.closest(TAKES_ENTER) !== null;
}

/** Menus, lists and small dialogs over the page have their own keys: a letter looks for a word there. */
function inPopover(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest("[role=dialog], [role=menu], [role=listbox]") !== null;
}

/** Return the action that a chord means now, of those offered; the part of the page that has the focus comes first. */
export function meant(chord: string, own: Record<string, string>, target: EventTarget | null): Action | undefined {
  const fits = [...CATALOGUE.values()].filter((action) => offered(action.id) && chordsOf(action, own).includes(chord));
  if (fits.length < 2 || !(target instanceof Element)) return fits[0];
  const here = target.closest<HTMLElement>("[data-context]")?.dataset.context;
  return fits.find((action) => action.context === here) ?? fits[0];
}

/** Listen to the keys of the whole window. Chords with Ctrl or Alt are taken before any control sees them (a user who set one means
 *  it); plain keys only if nobody else used them, and never while text is written or a dialog is open. */
export function listen(own: () => Record<string, string>): () => void {
  const handle = (event: KeyboardEvent, early: boolean) => {
    if (event.isComposing) return;
    const chord = chordOf(event);
    if (!chord || worksInText(chord) !== early || event.defaultPrevented) return;
    if (document.querySelector("[data-aris-modal]")) return;
    if (!early && (inPopover(event.target) || writesText(event.target) || keptByControl(chord, event.target))) return;
    const action = meant(chord, own(), event.target);
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.repeat && !action.repeats) return;
    perform(action.id);
  };
  const early = (event: KeyboardEvent) => handle(event, true);
  const late = (event: KeyboardEvent) => handle(event, false);
  window.addEventListener("keydown", early, { capture: true });
  window.addEventListener("keydown", late);
  return () => {
    window.removeEventListener("keydown", early, { capture: true });
    window.removeEventListener("keydown", late);
  };
}
