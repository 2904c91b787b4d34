"""Evidence on the image for a finding or a sentence of a draft: made when it is asked for, and kept for a while."""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from PIL import Image

from aris.errors import ArisError
from aris.exchange.documents.formats import model_identity
from aris.exchange.documents.report import Report, checked
from aris.flow.examining import cases_of, drafted_images, newest_draft
from aris.flow.house import House
from aris.service.workspace.context import Caller, Workspace, allow, here
from aris.service.workspace.drafts.calling import CALLS, CallerLeftError, site_calibration
from aris.service.workspace.errors import RefusedError, not_found
from aris.service.workspace.schemas.drafts import EvidenceOnImage, EvidenceRegion
from aris.service.workspace.viewing import audit_view, require_study
from aris.store.reading.tables import DraftRow
from aris.tasks import Case, Draft, Evidence, FilmFindings, Finding
from aris.tasks.calibration.answers import Calibration
from aris.tasks.evidence import evidence as find_evidence

if TYPE_CHECKING:
    from aris.backends import NativeBackend

router = APIRouter(prefix="/api", tags=["drafts"])
Looking = Annotated[Caller, allow("reader", "viewer", scope="read")]
Here = Annotated[Workspace, here]
StudyUid = Annotated[str, Path(max_length=64, pattern=r"^[0-9.]+$")]
_KEPT_BYTES = 64 << 20
_SIDE = 512
NO_MODEL = "no model is loaded: there is no evidence to show"
NO_DRAFT = "the study has no draft of a model"
EDITED = "these words are not the model's: there is no evidence for them"
OTHER_MODEL = "the draft is of another model than the one that is loaded"


@dataclass(frozen=True)
class _Made:
    """Evidence that was made: what is told, and its map as a PNG (b"" for none)."""

    told: EvidenceOnImage
    png: bytes


class _Kept:
    """Evidence that was made lately, up to so many bytes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: OrderedDict[str, _Made] = OrderedDict()
        self._size = 0

    def get(self, key: str) -> _Made | None:
        with self._lock:
            found = self._found.get(key)
            if found is not None:
                self._found.move_to_end(key)
            return found

    def put(self, key: str, made: _Made) -> None:
        with self._lock:
            before = self._found.pop(key, None)
            self._size += _size(made) - (0 if before is None else _size(before))
            self._found[key] = made
            while self._size > _KEPT_BYTES and self._found:
                self._size -= _size(self._found.popitem(last=False)[1])


def _size(made: _Made) -> int:
    return len(made.png) + 2000


_KEPT = _Kept()


@router.get("/studies/{study}/evidence")
async def evidence(
    request: Request,
    study: StudyUid,
    caller: Looking,
    workspace: Here,
    finding: Annotated[str | None, Query(max_length=300)] = None,
    sentence: Annotated[str | None, Query(max_length=4000)] = None,
) -> EvidenceOnImage:
    """Tell where on the image a finding's score, or a sentence of the draft, came from. No outline, and no proof."""
    if (finding is None) == (sentence is None):
        raise RefusedError(422, "malformed", "give a finding or a sentence")
    about = (finding or sentence or "").strip()
    kind = "finding" if finding is not None else "sentence"

    def work(left: threading.Event) -> EvidenceOnImage:
        return _evidence(workspace, caller, study, kind, about, left)

    return await CALLS.run(request, work)


@router.get("/studies/{study}/evidence/{key}.png", response_class=Response)
def evidence_map(
    study: StudyUid, key: Annotated[str, Path(pattern="^[0-9a-f]{64}$")], caller: Looking, workspace: Here
) -> Response:
    """A map of evidence, over the pixels as they are stored. It is kept for a while only."""
    found = _KEPT.get(_key_in(workspace.house, study, key))
    if found is None or not found.png:
        raise not_found("the map is no longer kept; ask for the evidence again")
    audit_view(workspace, caller, study, "evidence")
    return Response(found.png, media_type="image/png")


def _evidence(
    workspace: Workspace, caller: Caller, study: str, kind: str, about: str, left: threading.Event
) -> EvidenceOnImage:
    require_study(workspace, study)
    audit_view(workspace, caller, study, "evidence")
    row = newest_draft(workspace.house, study)
    if row is None:
        return _none(about, NO_DRAFT)
    images = drafted_images(workspace.house, study, row)
    image = images[0] if len(images) == 1 else ""
    report = checked(**row.report)
    model = workspace.model
    if model is None:
        return _stored(report, about, image) or _none(about, NO_MODEL, image)
    key = hashlib.sha256(
        "\0".join([row.images_digest, str(row.number), row.model, row.revision, model.name, kind, about]).encode()
    ).hexdigest()
    kept_as = _key_in(workspace.house, study, key)
    if (known := _KEPT.get(kept_as)) is not None:
        return known.told
    if left.is_set():
        raise CallerLeftError
    try:
        cases = cases_of(workspace.house, study, images, model.spec)
        calibration = site_calibration(workspace)
        url = f"/api/studies/{study}/evidence/{key}.png"
        made = _made(model, row, report, cases, image, kind, about, url, calibration)
    except ArisError as error:
        return _stored(report, about, image) or _none(about, _without_path(str(error)), image)
    _KEPT.put(kept_as, made)
    return made.told


def _made(
    model: NativeBackend, row: DraftRow, report: Report, cases: list[Case], image: str, kind: str, about: str, url: str,
    calibration: Calibration | None,
) -> _Made:  # fmt: skip
    if len(cases) != 1 or not image:
        return _Made(_none(about, "the study holds several examinations: evidence is shown on one image"), b"")
    loaded = model_identity(model.name)
    if (row.model, row.revision) != (loaded.name, loaded.revision):
        return _Made(_stored(report, about, image) or _none(about, OTHER_MODEL, image), b"")
    if kind == "finding":
        found = find_evidence(model, cases[0], finding=about, calibration=calibration)
    else:
        draft = _draft(model, row, report)
        if about not in draft.text:
            return _Made(_none(about, EDITED, image), b"")
        found = find_evidence(model, cases[0], phrase=about, draft=draft)
    png = _png(found.relevance) if found.assessed and found.relevance is not None else b""
    return _Made(_told(found, about, image, url if png else None), png)


def _draft(model: NativeBackend, row: DraftRow, report: Report) -> Draft:
    """The draft as its model wrote it, from what was kept."""
    details: dict[str, Any] = row.details or {}
    words: dict[str, str] = details.get("words") or {}
    findings = tuple(Finding(**each.model_dump(), word=words.get(each.name, "")) for each in report.findings)
    return Draft(
        model=model.name, file="", sections=report.sections, findings=(), text=str(details.get("text") or ""),
        assessment=FilmFindings(model=model.name, file="", findings=findings), kind=details.get("kind") or "chest film",
        forced=report.forced,
    )  # fmt: skip


def _told(found: Evidence, about: str, image: str, url: str | None) -> EvidenceOnImage:
    return EvidenceOnImage(
        about=about,
        assessed=found.assessed,
        note=found.note or found.explains,
        image=image,
        frame=None,
        regions=[
            EvidenceRegion(**each.model_dump(include={"label", "box", "frame", "probability", "note"}), image=image)
            for each in found.regions
        ],
        sides=list(found.sides),
        shares=list(found.shares),
        map=url,
        warnings=list(found.warnings),
    )


def _stored(report: Report, about: str, image: str) -> EvidenceOnImage | None:
    """The regions that the draft itself has of a finding; None if it has none."""
    found = [each for each in report.regions if each.label == about]
    if not found:
        return None
    where = found[0].image or image
    return EvidenceOnImage(
        about=about, assessed=True, note="as kept with the draft", image=where, frame=found[0].frame,
        regions=[EvidenceRegion(**each.model_dump(exclude={"measurements", "image"}), image=each.image or image)
                 for each in found],
        sides=[""] * len(found), shares=[0.0] * len(found), map=None, warnings=[],
    )  # fmt: skip


def _none(about: str, note: str, image: str = "") -> EvidenceOnImage:
    return EvidenceOnImage(
        about=about, assessed=False, note=note, image=image, frame=None, regions=[], sides=[], shares=[], map=None,
        warnings=[],
    )  # fmt: skip


def _key_in(house: House, study: str, key: str) -> str:
    return f"{house.store.folder.absolute()}\0{study}\0{key}"


def _without_path(text: str) -> str:
    """An error's words without the name of a file of ours."""
    head, _, rest = text.partition(": ")
    return rest if rest and (head.endswith(".dcm") or "/" in head) else text


def _png(relevance: npt.NDArray[np.float32]) -> bytes:
    """A map in the shape of the stored image, at most 512 pixels a side: amber, the more opaque the hotter."""
    height, width = relevance.shape
    scale = min(1.0, _SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(Image.fromarray(relevance / relevance.max()).resize(size, Image.Resampling.BOX))
    heat = np.clip(small / max(float(small.max()), 1e-9), 0, 1)
    rgba = np.empty((*heat.shape, 4), dtype=np.uint8)
    rgba[..., 0], rgba[..., 1], rgba[..., 2] = 255, (80 + 150 * heat).astype(np.uint8), 0
    rgba[..., 3] = np.rint(230 * heat**0.8).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(rgba).save(out, "PNG")
    return out.getvalue()
