"""The drafter that runs a model: every examination of a study is drafted, and one of them is the study's draft."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from aris.backends import Backend
from aris.errors import ImageError
from aris.exchange.documents.formats import model_identity
from aris.private import make_folder
from aris.tasks import Case, Draft, draft, read_cases
from aris.tasks.calibration.answers import Calibration
from aris.tasks.results import Priority

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
        self._model, self._folder, self._calibration = model, folder, calibration
        _clear(folder)
        identity = model_identity(model.name)
        self.name, self.revision = identity.name, identity.revision

    def __call__(self, files: Sequence[Path]) -> Draft:
        """Draft a study. Its draft is that of the first examination that the model may describe.

        Raises:
            ImageError: nothing in it can be read.
            ArisError: the model failed.
        """
        location = self._folder / f"drafting-{secrets.token_hex(8)}"
        make_folder(location)
        try:
            for number, path in enumerate(files):
                _link(path, location / f"{number:06}.dcm")
            return self._draft(location)
        finally:
            shutil.rmtree(location, ignore_errors=True)

    def _draft(self, location: Path) -> Draft:
        made: list[Draft] = []
        unread = more = 0
        for case in read_cases(location, spec=self._model.spec):
            if not isinstance(case, Case):
                unread += 1
            elif len(made) >= _MOST:
                more += 1
            else:
                made.append(draft(self._model, case, calibration=self._calibration))
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
        return chosen.model_copy(update={"warnings": tuple(warnings), "priority": urgent})


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
