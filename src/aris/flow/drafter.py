"""The drafter that runs a model: every examination of a study is drafted, and one of them is the study's draft."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from aris.backends import Backend
from aris.errors import ArisError, ImageError
from aris.exchange.documents.formats import model_identity
from aris.flow.listening import Hearing
from aris.imaging import sniff
from aris.imaging.dicom.parsing import parse_header
from aris.imaging.dicom.values import text
from aris.private import make_folder
from aris.tasks import Case, Draft, DraftStream, read_cases
from aris.tasks.calibration.answers import Calibration, read_calibration
from aris.tasks.results import Priority
from aris.tasks.text.written import WrittenSections

_ORDER: tuple[Priority, ...] = ("routine", "urgent", "critical")
# Of more examinations in one study, the others are named and not drafted.
_MOST = 8
_LEFT_S = 24 * 3600.0


class ModelDrafter:
    """Drafts with a model.

    Args:
        model: reads images.
        folder: for links to the files while they are read, on the store's disk.
        calibration: a site's own, of a chest film's findings.
    """

    def __init__(self, model: Backend, folder: Path, calibration: Calibration | None = None) -> None:
        self._model, self._folder, self.calibration = model, folder, calibration
        _clear(folder)
        identity = model_identity(model.name)
        self.name, self.revision = identity.name, identity.revision
        known = {**read_calibration(model.calibration).findings, **(calibration.findings if calibration else {})}
        # Of the last text, in tokens a second.
        self.tokens_per_s: float | None = None
        self.operating_points = {name: each.threshold for name, each in known.items()}

    def __call__(self, files: Sequence[Path], hearing: Hearing | None = None) -> Draft:
        """Draft a study. Its draft is that of the first examination that the model may describe.

        Args:
            hearing: is told of that one while it is written.

        Raises:
            ImageError: nothing in it can be read.
            ArisError: the model failed.
        """
        with laid_out(self._folder, files) as location:
            return self._draft(location, hearing)

    def _draft(self, location: Path, hearing: Hearing | None) -> Draft:
        made: list[Draft] = []
        unread = more = 0
        for case in read_cases(location, spec=self._model.spec):
            if not isinstance(case, Case):
                unread += 1
            elif len(made) >= _MOST:
                more += 1
            else:
                # The first that has a text is the study's draft: it is told, the others are not.
                told = hearing if not any(each.text.strip() for each in made) else None
                made.append(self._describe(case, location, told))
        if not made:
            raise ImageError("the study: no image in it can be read")
        chosen = next((each for each in made if each.text.strip()), made[0])
        warnings = list(chosen.warnings)
        others = len(made) - 1 + more
        if others:
            warnings.append(f"the text is of one of {others + 1} examinations in this study; read the others too")
        if unread:
            warnings.append(f"{unread} files of the study could not be read")
        urgent = max((each.priority for each in made), key=_ORDER.index)
        if hearing is not None and not chosen.text.strip():
            _tell_found(hearing, chosen, warnings)
        return chosen.model_copy(update={"warnings": tuple(warnings), "priority": urgent})

    def _describe(self, case: Case, location: Path, hearing: Hearing | None) -> Draft:
        stream = DraftStream(self._model, case, calibration=self.calibration)
        if hearing is None:
            for _ in stream:
                pass
            return self._ended(stream, case, location)
        begun = stream.draft
        if begun.complete:  # outside the scope: there will be no text
            return _of_image(begun, case, location)
        _tell_found(hearing, begun, stream.assessment.warnings)
        written = WrittenSections()
        for more in written.finish(begun.sections):  # what headers say
            hearing.wrote(*more)
        for piece in stream:
            for more in written.push(piece):
                hearing.wrote(*more)
        made = self._ended(stream, case, location)
        for more in written.finish(made.sections):
            hearing.wrote(*more)
        return made

    def _ended(self, stream: DraftStream, case: Case, location: Path) -> Draft:
        made = stream.draft
        self.tokens_per_s = made.timings.get("decode_tokens_per_s") or self.tokens_per_s
        return _of_image(made, case, location)


@contextlib.contextmanager
def laid_out(folder: Path, files: Sequence[Path]) -> Iterator[Path]:
    """Within this the files lie in a folder of their own, in order and under names that say nothing.

    Args:
        folder: in which that folder is made.
    """
    location = folder / f"drafting-{secrets.token_hex(8)}"
    make_folder(location)
    try:
        for number, path in enumerate(files):
            _link(path, location / f"{number:06}.dcm")
        yield location
    finally:
        shutil.rmtree(location, ignore_errors=True)


def _tell_found(hearing: Hearing, draft: Draft, warnings: Sequence[str]) -> None:
    hearing.found(draft.findings, list(warnings))


def _of_image(draft: Draft, case: Case, location: Path) -> Draft:
    """The draft with the one image that it is about, where that is a file of its own."""
    if draft.instances or len(case.images) != 1:
        return draft
    try:
        header = parse_header(location / Path(case.source).name, "image", ["SOPInstanceUID"], sniff.only_dicom)
    except (ArisError, OSError):
        return draft
    uid = text(header, "SOPInstanceUID")
    return draft.model_copy(update={"instances": (uid,)}) if uid else draft


def _clear(folder: Path) -> None:
    """Remove what workers that were killed left behind. No study is drafted for so long."""
    for each in folder.glob("drafting-*"):
        with contextlib.suppress(OSError):
            if each.is_dir() and not each.is_symlink() and time.time() - each.stat().st_mtime > _LEFT_S:
                shutil.rmtree(each, ignore_errors=True)


def _link(path: Path, location: Path) -> None:
    """The file under another name, without a copy where the disk can."""
    try:
        os.link(path, location)
    except OSError:
        shutil.copyfile(path, location)
        location.chmod(0o600)
