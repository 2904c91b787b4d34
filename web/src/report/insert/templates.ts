import type { Sections, Template } from "../../api/types";
import { SECTIONS } from "../text/sections";

/** Templates that fit a study: of its modalities, or of any. */
export function fitting(templates: readonly Template[], modalities: readonly string[]): Template[] {
  const same = new Set(modalities.flatMap(alike));
  const fit = templates.filter(
    (each) => each.modality === "" || same.size === 0 || same.has(each.modality.toUpperCase()),
  );
  // One that is kept for each name of a radiograph is listed once: that of the study's own name, if there is one.
  const exact = new Set(modalities.map((each) => each.toUpperCase()));
  const key = (each: Template) => JSON.stringify([each.name, each.normal, each.own, each.sections]);
  const best = new Map<string, Template>();
  for (const each of fit) {
    const known = best.get(key(each));
    if (known === undefined || (!exact.has(known.modality.toUpperCase()) && exact.has(each.modality.toUpperCase())))
      best.set(key(each), each);
  }
  return fit.filter((each) => best.get(key(each)) === each);
}

// Radiographs come under three names.
function alike(modality: string): string[] {
  const films = ["CR", "DX", "RG"];
  const name = modality.toUpperCase();
  return films.includes(name) ? films : [name];
}

/** Normal reports that fit, the best first: those of the modality and of the body part that the study names. */
export function normals(templates: readonly Template[], modalities: readonly string[], about: string): Template[] {
  const words = new Set(about.toLowerCase().match(/\p{L}{4,}/gu) ?? []);
  const score = (each: Template) =>
    (each.modality === "" ? 0 : 4) +
    (each.name.toLowerCase().match(/\p{L}{4,}/gu) ?? []).filter((word) => words.has(word)).length +
    (each.own ? 0.5 : 0);
  return fitting(templates, modalities)
    .filter((each) => each.normal)
    .sort((a, b) => score(b) - score(a));
}

/** The sections that a template fills; those that it leaves empty stay as they are. */
export function filled(template: Template): Partial<Sections> {
  const made: Partial<Sections> = {};
  for (const name of SECTIONS) {
    const text = template.sections[name];
    if (text !== undefined && text.trim() !== "") made[name] = text;
  }
  return made;
}
