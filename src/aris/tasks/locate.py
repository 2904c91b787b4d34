"""Locations on an image: the model's boxes as regions in the image's own pixels, and in millimetres."""

from __future__ import annotations

import re
from pathlib import Path

from aris.backends import Backend, GenerationOptions
from aris.errors import ImageError
from aris.imaging import Film
from aris.imaging.radiograph import UNKNOWN_CALIBRATION
from aris.prompting.builders import boxes as boxes_prompt
from aris.tasks.cases import Case, as_case
from aris.tasks.evidence_maps.sides import side_of
from aris.tasks.results import DroppedRegion, Location, Measurement, Region
from aris.tasks.scope import FORCED, Kind, not_for_patients, permitted
from aris.tasks.text.boxes import parse_boxes, source_box

MAX_TOKENS = 1000
DETECTOR_PLANE = "at the detector plane, uncalibrated"
NOT_KNOWN = "not known to be calibrated"


def locate(
    model: Backend,
    what: Case | Film | str | Path,
    target: str,
    *,
    kind: Kind | None = None,
    force: bool = False,
    options: GenerationOptions | None = None,
) -> Location:
    """Ask a model where something is.

    Args:
        model: reads images; trained to give boxes, as MedGemma 1.5 is.
        what: one image, or its path.
        target: an anatomical structure or a finding, as "right clavicle".
        kind: of image; by default as the file says.
        force: go on outside the model's scope; the result is marked.
        options: greedy and up to 1,000 tokens by default.

    Raises:
        ScopeError: outside the model's scope.
        ImageError: the file cannot be read, or holds more than one image.
        ModelError: the model reads no images.
        PromptError: the target is empty.
    """
    case = as_case(what, kind, model.spec)
    if len(case.images) != 1:
        raise ImageError(f"an examination of {len(case.images)} images; boxes are given on one, choose it")
    warnings = permitted(model, "locate", case.kind, force=force)
    warnings += case.warnings
    pixels = case.images[0].pixels
    reply = model.generate(boxes_prompt(pixels, target), options or GenerationOptions(max_tokens=MAX_TOKENS))
    if reply.finish_reason == "length":
        warnings.append(f"the answer was cut at {reply.usage.completion_tokens} tokens: boxes may be missing")
    written, dropped = parse_boxes(reply.text)
    left_out = [DroppedRegion(written=each.written, reason=each.reason) for each in dropped]
    height, width = pixels.shape[:2]
    image = case.images[0]
    # The model sees the customary view; a region is of the pixels that the file stores.
    orientation = image.orientation
    regions, sides = [], []
    for each in written:
        box = source_box(each, height, width)
        if box is None:
            position = f"[{each.top:g}, {each.left:g}, {each.bottom:g}, {each.right:g}] {each.label}".strip()
            left_out.append(DroppedRegion(written=position[:80], reason="it lies outside the image, in its padding"))
            continue
        if each.repaired:
            warnings.append(f"a box was repaired: {each.repaired}")
        label = each.label or target.strip()
        stored = image.turn.to_stored(box, height, width)
        regions.append(Region(label=label, box=stored, measurements=_sizes(stored, case.film)))
        side = side_of(box, width, orientation) or ""
        sides.append(side)
        told = _told_side(label) or _told_side(target)
        if told and side in ("left", "right") and told != side:
            warnings.append(f"a box for {label} lies on the patient's {side}")
    if regions and orientation is None:
        warnings.append("the file does not say how the patient lies on the image: the sides of boxes are not known")
    if regions and not any(region.measurements for region in regions):
        warnings.append("the file does not say how large a pixel is: boxes have no size in millimetres")
    if left_out:
        warnings.append(f"{len(left_out)} of {len(regions) + len(left_out)} boxes were dropped")
    if not regions and not left_out:
        warnings.append("the model gave no box")
    return Location(
        model=model.name,
        file=case.source,
        target=target.strip(),
        regions=tuple(regions),
        sides=tuple(sides),
        dropped=tuple(left_out),
        answer=reply.text,
        warnings=tuple(dict.fromkeys(warnings)),
        forced=FORCED in warnings,
        caution=not_for_patients(model.spec),
    )


def _sizes(box: tuple[float, float, float, float], film: Film | None) -> tuple[Measurement, ...]:
    """Width and height where the file says what a pixel is; only a calibrated one is a length in the patient."""
    if film is None or film.pixel_spacing_mm is None:
        return ()
    down, right = film.pixel_spacing_mm
    note = {"PixelSpacing": "", UNKNOWN_CALIBRATION: NOT_KNOWN}.get(film.spacing_attribute or "", DETECTOR_PLANE)
    values = (("width", (box[2] - box[0]) * right), ("height", (box[3] - box[1]) * down))
    return tuple(Measurement(name=name, value=round(value, 2), unit="mm", note=note) for name, value in values)


def _told_side(label: str) -> str | None:
    found = set(re.findall(r"\b(left|right)\b", label.lower()))
    return found.pop() if len(found) == 1 else None
