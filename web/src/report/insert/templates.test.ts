// @vitest-environment node
import { describe, expect, it } from "vitest";
import type { Template } from "../../api/types";
import { filled, fitting, normals } from "./templates";

const template = (id: string, modality: string, name: string, normal = false, own = false): Template => ({
  id,
  name,
  modality,
  sections: { findings: "Clear.", impression: " " },
  own,
  normal,
});
const all = [
  template("1", "CT", "Normal chest CT", true),
  template("2", "", "Any normal", true),
  template("3", "DX", "Normal knee", true),
  template("4", "DX", "Normal chest radiograph", true),
  template("5", "DX", "Pneumonia"),
];

describe("templates", () => {
  it("fit a study's modality; films are alike by any of their names", () => {
    expect(fitting(all, ["CR"]).map((each) => each.id)).toEqual(["2", "3", "4", "5"]);
    expect(fitting(all, [])).toHaveLength(5);
  });
  it("of a radiograph's three names are listed once, under the study's own", () => {
    const twice = [template("6", "DX", "Chest film"), template("7", "CR", "Chest film"), template("8", "CR", "Knee")];
    expect(fitting(twice, ["CR"]).map((each) => each.id)).toEqual(["7", "8"]);
    expect(fitting(twice, ["DX"]).map((each) => each.id)).toEqual(["6", "8"]);
  });
  it("for a normal study are chosen by body part first", () => {
    expect(normals(all, ["CR"], "Chest PA and lateral").map((each) => each.id)).toEqual(["4", "3", "2"]);
  });
  it("leave alone what they say nothing of", () => expect(filled(all[0])).toEqual({ findings: "Clear." }));
});
