"""The drafter that runs a model: every examination of a study is drafted, and one of them is the study's draft."""

from __future__ import annotations

from collections.abc import Sequence

from aris.backends import Backend
from aris.errors import ArisError, ImageError
from aris.exchange.documents.formats import model_identity
from aris.flow.listening import Hearing
from aris.imaging import sniff
from aris.imaging.dicom.parsing import parse_header
from aris.imaging.dicom.values import text
from aris.imaging.sources import FileSource
from aris.tasks import Case, Draft, DraftStream, read_cases
from aris.tasks.calibration.answers import Calibration, read_calibration
from aris.tasks.results import Priority
from aris.tasks.text.written import WrittenSections

_ORDER: tuple[Priority, ...] = ("routine", "urgent", "critical")
# Of more examinations in one study, the others are named and not drafted.
_MOST = 8


class ModelDrafter:
    """Drafts with a model.

    Args:
        model: reads images.
        calibration: a site's own, of a chest film's findings.
    """

    def __init__(self, model: Backend, calibration: Calibration | None = None) -> None:
        self._model, self.calibration = model, calibration
        identity = model_identity(model.name)
        self.name, self.revision = identity.name, identity.revision
        known = {**read_calibration(model.calibration).findings, **(calibration.findings if calibration else {})}
        # Of the last text, in tokens a second.
        self.tokens_per_s: float | None = None
        self.operating_points = {name: each.threshold for name, each in known.items()}

    def __call__(self, files: Sequence[FileSource], hearing: Hearing | None = None) -> Draft:
        """Draft a study. Its draft is that of the first examination that the model may describe.

        Args:
            hearing: is told of that one while it is written.

        Raises:
            ImageError: nothing in it can be read.
            ArisError: the model failed.
        """
        made: list[Draft] = []
        unread = more = 0
        for case in read_cases(files, spec=self._model.spec):
            if not isinstance(case, Case):
                unread += 1
            elif len(made) >= _MOST:
                more += 1
            else:
                # The first that has a text is the study's draft: it is told, the others are not.
                told = hearing if not any(each.text.strip() for each in made) else None
                made.append(self._describe(case, files, told))
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

    def _describe(self, case: Case, files: Sequence[FileSource], hearing: Hearing | None) -> Draft:
        stream = DraftStream(self._model, case, calibration=self.calibration)
        if hearing is None:
            for _ in stream:
                pass
            return self._ended(stream, case, files)
        begun = stream.draft
        if begun.complete:  # outside the scope: there will be no text
            return _of_image(begun, case, files)
        _tell_found(hearing, begun, stream.assessment.warnings)
        written = WrittenSections()
        for more in written.finish(begun.sections):  # what headers say
            hearing.wrote(*more)
        for piece in stream:
            for more in written.push(piece):
                hearing.wrote(*more)
        made = self._ended(stream, case, files)
        for more in written.finish(made.sections):
            hearing.wrote(*more)
        return made

    def _ended(self, stream: DraftStream, case: Case, files: Sequence[FileSource]) -> Draft:
        made = stream.draft
        self.tokens_per_s = made.timings.get("decode_tokens_per_s") or self.tokens_per_s
        return _of_image(made, case, files)


def _tell_found(hearing: Hearing, draft: Draft, warnings: Sequence[str]) -> None:
    hearing.found(draft.findings, list(warnings))


def _of_image(draft: Draft, case: Case, files: Sequence[FileSource]) -> Draft:
    """The draft with the one image that it is about, where that is a file of its own."""
    if draft.instances or len(case.images) != 1:
        return draft
    source = next((each for each in files if each.given_name == case.source), None)
    try:
        header = None if source is None else parse_header(source, "image", ["SOPInstanceUID"], sniff.only_dicom)
    except (ArisError, OSError):
        return draft
    if header is None:
        return draft
    uid = text(header, "SOPInstanceUID")
    return draft.model_copy(update={"instances": (uid,)}) if uid else draft
