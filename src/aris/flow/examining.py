"""Examinations of a study's stored images, for what a reader asks of a model beside the draft."""

from __future__ import annotations

from collections.abc import Sequence

from aris.checkpoints.registry import ModelSpec
from aris.errors import ImageError, NotFoundError
from aris.flow.house import House
from aris.store.files import unnamed
from aris.store.reading import drafts, readings
from aris.store.reading.tables import DraftRow
from aris.tasks import Case, read_cases

# Files that are read for one question.
MOST_FILES = 4000


def newest_draft(house: House, study: str) -> DraftRow | None:
    """The newest draft of a model; None if there is none, or no reading."""
    with house.store.sessions.reading() as session:
        reading = readings.find(session, study)
        return None if reading is None else drafts.newest(session, reading)


def drafted_images(house: House, study: str, draft: DraftRow | None) -> list[str]:
    """SOP Instance UIDs that a draft is about: as it says, else all of the study's images."""
    named = [] if draft is None else [str(each) for each in (draft.details or {}).get("images") or ()]
    with house.store.sessions.reading() as session:
        known = readings.image_uids(session, study)
    return [uid for uid in named if uid in known] or known


def cases_of(house: House, study: str, images: Sequence[str], spec: ModelSpec | None) -> list[Case]:
    """The examinations that images of a study make, with their pixels in memory.

    Args:
        images: SOP Instance UIDs, all of the study.
        spec: of the model that is to see them.

    Raises:
        NotFoundError: an image is not one of the study's.
        ImageError: they are too many, or none can be read.
    """
    if len(images) > MOST_FILES:
        raise ImageError(f"images: {len(images):,} are too many for one question; choose up to {MOST_FILES:,}")
    known = {each.uid: each for each in house.store.instances(study=study)}
    if any(uid not in known for uid in images):
        raise NotFoundError("no such image in the study")
    files = unnamed(house.store.files.verified(known[uid].digest) for uid in images)
    found = [each for each in read_cases(files, spec=spec) if isinstance(each, Case)]
    if not found:
        raise ImageError("images: none of them can be read")
    return found
