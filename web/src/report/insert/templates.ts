import type { Sections, Template } from "../../api/types";
import { SECTIONS } from "../text/sections";

/** Templates that fit a study: of its modalities, or of any. */
export function fitting(templates: readonly Template[], modalities: readonly string[]): Template[] {
  const same = new Set(modalities.flatMap(alike));
  return templates.filter((each) => each.modality === "" || same.size === 0 || same.has(each.modality.toUpperCase()));
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
