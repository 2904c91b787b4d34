"""Routes of questions to a library: search, an answer a sentence at a time, and answers that the user keeps.

Nothing is kept of a question unless the user saves the answer: the trail says that a library was asked, not what.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from aris.exchange.documents.report import clean
from aris.literature.library import Library
from aris.literature.retrieval import Filters, search
from aris.service.workspace.context import Caller, Workspace, allow
from aris.service.workspace.drafts.calling import CALLS, CallerLeftError
from aris.service.workspace.errors import not_found, refusal
from aris.service.workspace.literature.libraries import libraries_of
from aris.service.workspace.literature.managing import Here, LibraryPath
from aris.service.workspace.literature.shown import paper_info, passage_info
from aris.service.workspace.schemas.literature import AskLiterature, Found, FoundPassage, KeepAnswer, SavedAnswer
from aris.store.reading.access import saved_answers
from aris.tasks.literature import LiteratureStream
from aris.tasks.literature.results import LiteratureAnswer

router = APIRouter(prefix="/api/literature", tags=["literature"])
Anyone = Annotated[Caller, allow("reader", "viewer", scope="read")]
Reader = Annotated[Caller, allow("reader", scope="write")]
Own = Annotated[Caller, allow("reader", scope=None)]
Year = Annotated[int, Query(ge=1500, le=2100)]


@router.get("/libraries/{library}/search")
def found(
    library: LibraryPath,
    caller: Anyone,
    workspace: Here,
    q: Annotated[str, Query(max_length=2000)],
    since: Year | None = None,
    until: Year | None = None,
    type: Annotated[list[Annotated[str, Query(max_length=100)]] | None, Query(max_length=20)] = None,
    journal: Annotated[str, Query(max_length=200)] = "",
    count: Annotated[int, Query(ge=1, le=50)] = 20,
) -> Found:
    """Find passages by words and by meaning; retracted papers are among them, and marked."""
    kept = libraries_of(workspace).get(library)
    hits = search(kept, clean(q), count=count, filters=Filters(since, until, tuple(type or ()), clean(journal)))
    _audit(workspace, caller, "search literature", library)
    return Found(
        hits=[FoundPassage(paper=paper_info(each.paper), passage=passage_info(each.passage)) for each in hits],
        mode="lexical" if kept.without_vectors else "hybrid",
        warnings=[f"searched by words alone: {kept.without_vectors}"] if kept.without_vectors else [],
    )


@router.post("/libraries/{library}/ask", response_class=EventSourceResponse)
async def ask(
    request: Request, library: LibraryPath, body: AskLiterature, caller: Reader, workspace: Here
) -> AsyncIterator[ServerSentEvent]:
    """Answer a question from a library: "found", a "sentence" each, then "done" or "failed"."""
    queue: asyncio.Queue[tuple[str, Any] | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def tell(name: str, data: Any) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, (name, data))

    def work(left: threading.Event) -> None:
        kept = libraries_of(workspace).get(library)
        _audit(workspace, caller, "ask literature", library)
        answered(kept, body, workspace, tell, left)

    async def run() -> None:
        try:
            await CALLS.run(request, work)
        except Exception as error:  # whatever it is, it is told in the one form of errors
            told = refusal(error).body["error"]
            queue.put_nowait(("failed", {"code": told["code"], "message": told["message"]}))
        finally:
            queue.put_nowait(None)

    task = asyncio.create_task(run())
    try:
        while (event := await queue.get()) is not None:
            name, data = event
            yield ServerSentEvent(event=name, data=data)
    finally:
        task.cancel()


def answered(
    library: Library, body: AskLiterature, workspace: Workspace, tell: Any, left: threading.Event
) -> LiteratureAnswer:
    """Answer a question, telling each sentence with the passages that it is the first to cite."""
    model = workspace.model if body.written else None
    filters = Filters(body.since, body.until, tuple(body.types), body.journal)
    stream = LiteratureStream(library, body.question, model, filters=filters)
    tell("found", {"passages": len(stream.hits), "answered": stream.answered,
                   "mode": "lexical" if library.without_vectors else "hybrid"})  # fmt: skip
    known = 0
    for _ in stream:
        if left.is_set():
            stream.close()
            raise CallerLeftError
        cited = stream.cited
        tell("sentence", {"sentence": stream.sentences[-1].model_dump(mode="json"),
                          "passages": [each.model_dump(mode="json") for each in cited[known:]]})  # fmt: skip
        known = len(cited)
    answer = stream.answer
    tell("done", answer.model_dump(mode="json"))
    return answer


@router.get("/answers")
def kept(caller: Own, workspace: Here) -> list[SavedAnswer]:
    """List the caller's own kept answers, the newest first."""
    with workspace.house.store.sessions.reading() as session:
        rows = saved_answers.kept(session, caller.login)
    return [_saved(row) for row in rows]


@router.post("/answers", status_code=201)
def keep(body: KeepAnswer, caller: Own, workspace: Here) -> SavedAnswer:
    """Keep an answer for the caller, who alone sees it."""
    house, now = workspace.house, workspace.now()
    answer = body.answer.model_dump(mode="json")

    def work(session: Any) -> Any:
        row = saved_answers.keep(session, caller.login, body.library, body.answer.question, answer, now)
        house.trail.add(session, caller.login, "keep answer", now=now, library=body.library)
        return row

    return _saved(house.store.sessions.write(work))


@router.delete("/answers/{number}", status_code=204)
def forget(number: Annotated[int, Path(ge=1, lt=1 << 31)], caller: Own, workspace: Here) -> None:
    """Remove one of the caller's kept answers."""
    house, now = workspace.house, workspace.now()

    def work(session: Any) -> bool:
        gone = saved_answers.forget(session, caller.login, number)
        if gone:
            house.trail.add(session, caller.login, "forget answer", now=now)
        return gone

    if not house.store.sessions.write(work):
        raise not_found("there is no such answer")


def _saved(row: Any) -> SavedAnswer:
    return SavedAnswer(
        number=row.id, library=row.library, question=row.question, saved_at=row.saved_at.isoformat(),
        answer=LiteratureAnswer.model_validate(row.answer),
    )  # fmt: skip


def _audit(workspace: Workspace, caller: Caller, action: str, library: str) -> None:
    house = workspace.house
    house.store.sessions.write(
        lambda session: house.trail.add(session, caller.login, action, now=workspace.now(), library=library)
    )

