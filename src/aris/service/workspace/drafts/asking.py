"""Questions of a reader to the model beside the draft: a section written anew, and questions about the images."""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Path, Request

from aris.backends import GenerationOptions
from aris.exchange.documents.report import clean
from aris.flow.examining import cases_of, drafted_images, newest_draft
from aris.service.workspace.context import Caller, Workspace, allow, here
from aris.service.workspace.drafts.calling import CALLS, CallerLeftError, site_calibration
from aris.service.workspace.errors import RefusedError
from aris.service.workspace.schemas.drafts import Answered, Ask, Regenerate, Regenerated
from aris.service.workspace.viewing import require_study
from aris.tasks import AnswerStream, Case, Draft, DraftStream
from aris.tasks.calibration.answers import Calibration

if TYPE_CHECKING:
    from aris.backends import NativeBackend

router = APIRouter(prefix="/api", tags=["drafts"])
Reader = Annotated[Caller, allow("reader", scope="write")]
Here = Annotated[Workspace, here]
StudyUid = Annotated[str, Path(max_length=64, pattern=r"^[0-9.]+$")]
Section = Literal["examination", "indication", "technique", "comparison", "findings", "impression"]
_WRITTEN = ("findings", "impression")
# Another wording than the greedy one, which the draft has.
_TEMPERATURE = 0.7
NOT_WRITTEN = "this section comes from the images' headers and the order; the model does not write it"
NO_TEXT = "the model wrote no text for this section"


@router.post("/studies/{study}/sections/{section}/regenerate")
async def regenerate(
    request: Request, study: StudyUid, section: Section, body: Regenerate, caller: Reader, workspace: Here
) -> Regenerated:
    """Write a section of the draft anew, for the reader to take or to leave: nothing is kept."""
    model = _model(workspace)
    if section not in _WRITTEN:
        raise RefusedError(422, "not_written", NOT_WRITTEN)

    def work(left: threading.Event) -> Regenerated:
        require_study(workspace, study)
        row = newest_draft(workspace.house, study)
        cases = cases_of(workspace.house, study, drafted_images(workspace.house, study, row), model.spec)
        made = _written(model, cases, body.hint.strip(), left, site_calibration(workspace))
        _audit(workspace, caller, study, "regenerate", section=section, hint=bool(body.hint.strip()))
        warnings = list(made.warnings)
        if not (text := getattr(made.sections, section)):
            warnings.insert(0, NO_TEXT)
        return Regenerated(section=section, text=clean(text), warnings=warnings)

    return await CALLS.run(request, work)


@router.post("/studies/{study}/ask")
async def ask(request: Request, study: StudyUid, body: Ask, caller: Reader, workspace: Here) -> Answered:
    """Ask about images of a study. A model answers what is within its scope, and says so where it does not."""
    model = _model(workspace)

    def work(left: threading.Event) -> Answered:
        require_study(workspace, study)
        row = newest_draft(workspace.house, study)
        images = list(dict.fromkeys(body.images)) or drafted_images(workspace.house, study, row)
        stream = AnswerStream(model, body.question, cases_of(workspace.house, study, images, model.spec))
        for _ in stream:
            if left.is_set():
                stream.close()
                raise CallerLeftError
        answer = stream.answer
        # The question is a person's text and may name the patient: the trail says that one was asked.
        _audit(workspace, caller, study, "ask", images=len(images), answered=answer.answered)
        return Answered(
            question=body.question, answer=clean(answer.answer), answered=answer.answered,
            warnings=list(answer.warnings), model=model.name, caution=answer.caution,
        )  # fmt: skip

    return await CALLS.run(request, work)


def _written(
    model: NativeBackend, cases: list[Case], note: str, left: threading.Event, calibration: Calibration | None
) -> Draft:
    """A draft of the first examination that the model may describe, in other words than before."""
    made: Draft | None = None
    options = GenerationOptions(temperature=_TEMPERATURE, top_p=0.95, seed=secrets.randbelow(1 << 31))
    for case in cases:
        if left.is_set():
            raise CallerLeftError
        stream = DraftStream(model, case, options=options, note=note, calibration=calibration)
        for _ in stream:
            if left.is_set():
                stream.close()
                raise CallerLeftError
        if made is None or stream.draft.text.strip():
            made = stream.draft
        if made.text.strip():
            break
    assert made is not None  # there is a case
    return made


def _model(workspace: Workspace) -> NativeBackend:
    if workspace.model is None:
        raise RefusedError(409, "no_model", "no model is loaded; the workspace still reads and signs")
    return workspace.model


def _audit(workspace: Workspace, caller: Caller, study: str, action: str, **detail: Any) -> None:
    house = workspace.house
    house.store.sessions.write(
        lambda session: house.trail.add(session, caller.login, action, study, now=workspace.now(), **detail)
    )
