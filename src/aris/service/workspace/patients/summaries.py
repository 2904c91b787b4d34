"""Summaries and answers of a record: by rule at once, in a model's words where they hold against the record."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from aris.errors import ArisError, PromptError
from aris.exchange.documents.report import clean
from aris.flow.records.library import Opened
from aris.service.workspace.context import Caller, Workspace
from aris.service.workspace.drafts.calling import CALLS, CallerLeftError
from aris.service.workspace.errors import RefusedError
from aris.service.workspace.patients.opening import Here, Looker, Number, Reader, opened
from aris.service.workspace.patients.writing import writer_of
from aris.service.workspace.schemas.patients import (
    AskRecord,
    Form,
    LeftOut,
    RecordAnswered,
    RecordSummary,
    StatedLine,
    StruckLine,
    SummarySection,
)
from aris.tasks.summary import RecordAnswer, Section, Statement, Struck, Summary, ask_record, summarize

router = APIRouter(prefix="/api/patients/{number}", tags=["patients"])
Question = Annotated[str, Query(max_length=2000)]


@router.get("/summary")
def summary(
    number: Number, caller: Looker, workspace: Here, form: Form = "summary", question: Question = ""
) -> RecordSummary:
    """A summary of the record, its facts laid out by rule."""
    found = opened(workspace, caller, number, "summary")
    return summary_of(summarize(found.timeline, None, form=form, question=clean(question)))


@router.get("/summary/draft", response_class=EventSourceResponse)
async def written(
    number: Number, request: Request, caller: Reader, workspace: Here, form: Form = "summary", question: Question = ""
) -> AsyncIterator[ServerSentEvent]:
    """The summary as the model words it: each section when it was checked, then the whole with what was struck."""
    by, note = writer_of(workspace)
    model = workspace.model
    if not by or model is None:
        yield _event("failed", {"message": note})
        return
    found = await run_in_threadpool(opened, workspace, caller, number, "summary")
    _audit(workspace, caller, number, "summarize", form=form, model=model.name)
    heard: asyncio.Queue[tuple[int, Section]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def work(left: threading.Event) -> Summary:
        def told(index: int, section: Section) -> None:
            if left.is_set():
                raise CallerLeftError
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(heard.put_nowait, (index, section))

        return summarize(found.timeline, model, form=form, question=clean(question), heard=told)

    yield _event("begun", {"model": by})
    task = asyncio.ensure_future(CALLS.run(request, work))
    try:
        while not task.done() or not heard.empty():
            waiting = asyncio.ensure_future(heard.get())
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                waiting.cancel()
                await asyncio.sleep(0)
                continue
            index, section = waiting.result()
            yield _event("section", {"index": index, "section": _section(section).model_dump()})
        yield _event("done", summary_of(task.result()).model_dump())
    except ArisError as error:
        yield _event("failed", {"message": clean(str(error))})
    except RefusedError as error:
        yield _event("failed", {"message": str(error.body["error"]["message"])})
    finally:
        task.cancel()


@router.post("/ask")
async def ask(number: Number, request: Request, body: AskRecord, caller: Reader, workspace: Here) -> RecordAnswered:
    """Answer a question about the record, each statement with what it rests on; or say that the record has nothing."""
    found = await run_in_threadpool(opened, workspace, caller, number, "ask")
    by, note = writer_of(workspace)
    model = workspace.model if by else None
    try:
        if model is None:
            answer = await run_in_threadpool(ask_record, found.timeline, clean(body.question), None)
        else:
            answer = await CALLS.run(request, lambda _: ask_record(found.timeline, clean(body.question), model))
    except PromptError as error:
        raise RefusedError(422, "malformed", str(error)) from None
    # The question is a person's text and may name the patient: the trail says that one was asked.
    await run_in_threadpool(_audit, workspace, caller, number, "ask record", found=answer.found)
    return _answered(answer, found, note)


def summary_of(made: Summary) -> RecordSummary:
    """A summary as the pages get it."""
    return RecordSummary(
        model=made.model, form=made.form, as_of=made.as_of, sections=[_section(each) for each in made.sections],
        omissions=[LeftOut(kind=each.kind, text=clean(each.text), cites=list(each.cites)) for each in made.omissions],
        struck=[_struck(each) for each in made.struck], excluded=[clean(each) for each in made.excluded],
        problems=[clean(each) for each in made.problems], warnings=[clean(each) for each in made.warnings],
        caution=made.caution,
    )  # fmt: skip


def _section(section: Section) -> SummarySection:
    lines = [_line(each) for each in section.statements]
    return SummarySection(title=section.title, statements=lines, by=section.by, note=clean(section.note))


def _line(statement: Statement) -> StatedLine:
    return StatedLine(text=clean(statement.text), cites=list(statement.cites), by=statement.by)


def _struck(each: Struck) -> StruckLine:
    return StruckLine(section=each.section, text=clean(each.text), cites=list(each.cites), reason=clean(each.reason))


def _answered(answer: RecordAnswer, found: Opened, note: str) -> RecordAnswered:
    warnings = [clean(each) for each in answer.warnings]
    return RecordAnswered(
        question=clean(answer.question), found=answer.found, statements=[_line(each) for each in answer.statements],
        facts=[_line(each) for each in answer.facts], struck=[_struck(each) for each in answer.struck],
        warnings=[*([note] if note else []), *warnings], model=answer.model, caution=answer.caution,
    )  # fmt: skip


def _event(name: str, data: dict[str, Any]) -> ServerSentEvent:
    return ServerSentEvent(event=name, data=data)


def _audit(workspace: Workspace, caller: Caller, number: int, action: str, **detail: Any) -> None:
    house = workspace.house
    house.store.sessions.write(
        lambda session: house.trail.add(
            session, caller.login, action, f"record {number}", now=workspace.now(), **detail
        )
    )
