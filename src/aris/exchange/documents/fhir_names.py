"""Person names between DICOM (`Family^Given^Middle^Prefix^Suffix`, up to three scripts) and FHIR's HumanName."""

from __future__ import annotations

from typing import Any

# The three component groups of a DICOM person name (PS3.5 6.2.1.2) as HL7's name representations.
REPRESENTATION = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
_GROUPS = ("ABC", "IDE", "SYL")


def human_name(name: str) -> list[dict[str, Any]]:
    """FHIR's names for a DICOM name: one for each script."""
    groups = name.split("=")
    made = []
    for kind, group in zip(_GROUPS, groups, strict=False):
        if not group.strip("^ "):
            continue
        family, given, middle, prefix, suffix = (*group.split("^"), "", "", "", "", "")[:5]
        human: dict[str, Any] = {}
        if len(groups) > 1 or kind != "ABC":
            human["extension"] = [{"url": REPRESENTATION, "valueCode": kind}]
        human["text"] = " ".join(part for part in (prefix, given, middle, family, suffix) if part)
        for key, value in (("family", family), ("given", [given, middle]), ("prefix", [prefix]), ("suffix", [suffix])):
            kept = value if isinstance(value, str) else [each for each in value if each]
            if kept:
                human[key] = kept
        made.append(human)
    return made


def dicom_name(names: list[dict[str, Any]]) -> str:
    """The DICOM name that FHIR's names were made from. A middle name without a given one becomes the given one."""
    groups = ["", "", ""]
    for human in names:
        kinds = [each.get("valueCode") for each in human.get("extension", []) if each["url"] == REPRESENTATION]
        given = [*human.get("given", []), "", ""]
        rest = [*human.get("prefix", [""]), *human.get("suffix", [""])]
        parts = [human.get("family", ""), given[0], given[1], *rest]
        groups[_GROUPS.index(kinds[0] if kinds else "ABC")] = "^".join(parts).rstrip("^")
    return "=".join(groups).rstrip("=")
