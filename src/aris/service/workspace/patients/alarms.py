"""The alarms of the watch: listed, acknowledged, snoozed, closed, explained."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from aris.exchange.documents.report import clean
from aris.flow.monitoring import alarms as standing
from aris.flow.monitoring.house_watch import watch_problem
from aris.service.workspace.context import Workspace
from aris.service.workspace.drafts.calling import CALLS
from aris.service.workspace.errors import RefusedError
from aris.service.workspace.patients.flags import evidence_of
from aris.service.workspace.patients.opening import Here, Looker, Reader, counts_of
from aris.service.workspace.patients.writing import writer_of
from aris.service.workspace.schemas.alarms import (
    Alarm,
    AlarmAct,
    AlarmsPage,
    AlarmState,
    AlarmTelling,
    AlarmTotals,
    Explained,
    Following,
    NewAlarmAct,
)
from aris.service.workspace.schemas.patients import Severity
from aris.service.workspace.viewing import audit_view
from aris.store.reading.records import alarms as books
from aris.store.reading.records import books as records
from aris.store.reading.records.tables import AlarmRow
from aris.tasks.monitor import Alarm as Told
from aris.tasks.monitor import Ended
from aris.tasks.monitor.explaining import explain

router = APIRouter(prefix="/api/alarms", tags=["alarms"])
Key = Annotated[str, Path(max_length=64, pattern=r"^[0-9A-Za-z-]+$")]
_LATE = timedelta(minutes=5)


@router.get("")
def page(
    caller: Looker, workspace: Here, state: Annotated[list[AlarmState] | None, Query(max_length=5)] = None,
    severity: Annotated[list[Severity] | None, Query(max_length=3)] = None, rule: Annotated[str,
    Query(max_length=64)] = "",
    patient: Annotated[int | None, Query(ge=1, lt=1 << 31)] = None, text: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 200, offset: Annotated[int, Query(ge=0, lt=1 << 31)] = 0,
) -> AlarmsPage:  # fmt: skip
    """List alarms, the open ones first, the most severe first. Without a state those that are open."""
    now = workspace.now()
    every = standing.current(workspace.house, now)
    if patient is not None:
        every = [each for each in every if each.record.id == patient]
    words = clean(text).casefold().split()
    fits = [
        each for each in every
        if (not severity or each.flag.severity in severity) and (not rule or each.flag.rule == rule)
        and all(word in f"{each.record.searched} {each.flag.title} {each.flag.text}".casefold() for word in words)
    ]  # fmt: skip
    states = Counter[str](each.state for each in fits)
    shown = [each for each in fits if each.state in (state or ("open",))]
    for each in {each.record.id for each in shown[offset : offset + limit]}:
        audit_view(workspace, caller, f"record {each}", "alarms")
    return AlarmsPage(
        total=len(shown), alarms=[alarm_of(each) for each in shown[offset : offset + limit]],
        counts=counts_of(standing.counts(every)), states={name: states[name] for name in standing.STATES},
        rules={each.flag.rule: each.flag.title for each in every}, following=following(workspace), now=now.isoformat(),
    )  # fmt: skip


@router.get("/totals")
def totals(caller: Looker, workspace: Here) -> AlarmTotals:
    """Count the alarms that are open. It names nobody: no audit."""
    return AlarmTotals(counts=counts_of(standing.counts(standing.current(workspace.house, workspace.now()))))


@router.post("/{key}/acts", status_code=201)
def act(key: Key, body: NewAlarmAct, caller: Reader, workspace: Here) -> Alarm:
    """Acknowledge, snooze, close or reopen an alarm; 409 where it got worse since it was on the screen."""
    try:
        done = standing.act(
            workspace.house, caller.login, key, body.act, seen=body.seen, why=body.why, minutes=body.minutes,
            now=workspace.now(),
        )  # fmt: skip
    except standing.StaleAlarmError as error:
        raise RefusedError(409, "stale_alarm", str(error)) from None
    return alarm_of(done)


@router.get("/{key}/explanation")
async def explanation(key: Key, request: Request, caller: Reader, workspace: Here) -> Explained:
    """The alarm in a model's words, where they say nothing but what the rule found. The alarm stays as it is."""
    from starlette.concurrency import run_in_threadpool

    found = await run_in_threadpool(standing.find, workspace.house, key, workspace.now())
    await run_in_threadpool(audit_view, workspace, caller, f"record {found.record.id}", "explanation")
    by, note = writer_of(workspace)
    model = workspace.model
    if not by or model is None:
        return Explained(
            text="", model="", note=note.replace("the facts are laid out by rule", "the rule's own words stand")
        )
    flag = await CALLS.run(request, lambda _: explain(found.flag, model))
    said = clean(flag.explanation)
    return Explained(
        text=said, model=by, note="" if said else "what the model said did not hold against the rule's finding"
    )


def alarm_of(found: standing.Standing) -> Alarm:
    """An alarm as the pages get it."""
    flag, record = found.flag, found.record
    end = found.end
    newest = [each for each in found.events if each.event != "ended"][-1]
    return Alarm(
        id=found.episode, patient=record.id, name=record.name, birth_date=record.birth_date, sex=record.sex,
        rule=flag.rule,
        version=flag.version, title=flag.title, problem=flag.problem, state=found.state, severity=flag.severity,
        worst=found.worst, text=clean(flag.text), since=flag.since.isoformat(),
        raised=found.raised.raised_at.isoformat(),
        changed=found.changed.isoformat(), ended=None if end is None else end.at.isoformat(),
        ended_reason="" if end is None else end.reason, evidence=evidence_of(flag), source=flag.source, url=flag.url,
        missing=[clean(each) for each in flag.missing], notes=[clean(each) for each in flag.notes], advice=flag.advice,
        related=list(Told.model_validate(newest.content).related), tellings=[_telling(each) for each in found.events],
        acts=_acts(found), seen=found.seen, worse_since_act=found.worse,
    )  # fmt: skip


def _telling(row: AlarmRow) -> AlarmTelling:
    if row.event == "ended":
        end = Ended.model_validate(row.content)
        return AlarmTelling(id=row.id, event="ended", severity=None, text="", raised=row.raised_at.isoformat(),
                            told=row.told_at.isoformat(), reason=end.reason)  # fmt: skip
    told = Told.model_validate(row.content)
    return AlarmTelling(id=row.id, event=told.reason, severity=told.flag.severity, text=clean(told.flag.text),
                        raised=row.raised_at.isoformat(), told=row.told_at.isoformat(), reason="")  # fmt: skip


def _acts(found: standing.Standing) -> list[AlarmAct]:
    last = len(found.acts) - 1
    return [
        AlarmAct(act=row.act, login=row.login, why=clean(row.why),  # type: ignore[arg-type]
                 until=None if row.until is None else row.until.isoformat(), at=row.at.isoformat(),
                 held=at == last and found.held and found.state != "ended")
        for at, row in enumerate(found.acts)
    ]  # fmt: skip


def following(workspace: Workspace) -> Following:
    """Return the state of the watch."""
    settings = workspace.house.settings
    with workspace.house.store.sessions.reading() as session:
        count, last, due = books.judged(session)
        waiting = len(records.due(session, workspace.now() - _LATE, 1))
    problems = [each for each in (watch_problem(workspace.house),) if each]
    late = settings.monitor.follow and bool(waiting and due is not None and due < workspace.now() - _LATE)
    return Following(
        on=settings.monitor.follow, records=count, judged_at=None if last is None else last.isoformat(), late=late,
        problems=problems,
    )  # fmt: skip


