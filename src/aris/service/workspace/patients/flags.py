"""Flags of the rules on a record at a moment: judged when they are asked for, apart from the watch's alarms."""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from aris.exchange.documents.report import clean
from aris.flow.monitoring.following import newest_moment
from aris.flow.monitoring.house_watch import rules_in_use
from aris.flow.records.library import Opened
from aris.service.workspace.context import Workspace
from aris.service.workspace.patients.opening import Here, Looker, Number, opened
from aris.service.workspace.schemas.patients import FlagEvidence, NotJudged, RecordFlag, RecordFlags
from aris.tasks.monitor import Flag, Monitored, monitor
from aris.tasks.monitor.results import rank

router = APIRouter(prefix="/api/patients/{number}", tags=["patients"])
At = Literal["auto", "now", "newest"]
_STALE = timedelta(days=30)
_MOST = 64


class _Judged:
    """Last findings of the rules, kept so that flags, trends and timeline of one page have a record judged once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[object, Monitored] = OrderedDict()

    def of(self, workspace: Workspace, found: Opened, moment: datetime) -> Monitored:
        rules = rules_in_use(workspace.house)
        key = (
            str(workspace.house.store.folder),
            found.row.id,
            found.row.print,
            moment.replace(second=0, microsecond=0),
            tuple(sorted(each.digest for each in rules)),
        )
        with self._lock:
            known = self._kept.get(key)
        if known is None:
            known = monitor(found.timeline, now=moment, rules=rules)
            with self._lock:
                self._kept[key] = known
                while len(self._kept) > _MOST:
                    self._kept.popitem(last=False)
        return known


_JUDGED = _Judged()


@router.get("/flags")
def flags(number: Number, caller: Looker, workspace: Here, at: Annotated[At, Query()] = "auto") -> RecordFlags:
    """All that the rules find: now, or when the record last learned something; by itself that for an old record."""
    found = opened(workspace, caller, number, "flags")
    result = _JUDGED.of(workspace, found, _moment(workspace, found, at))
    return RecordFlags(
        at=result.now.isoformat(), flags=[flag_of(each) for each in result.flags],
        not_assessed=[NotJudged(rule=each.rule, title=each.title, kind=each.kind, reason=clean(each.reason))
                      for each in result.not_assessed],
        problems=[clean(each) for each in result.problems], disclaimer=result.disclaimer,
    )  # fmt: skip


def severities(workspace: Workspace, found: Opened) -> dict[str, str]:
    """By resource, the severity of the worst flag that rests on it."""
    made: dict[str, str] = {}
    result = _JUDGED.of(workspace, found, _moment(workspace, found, "auto"))
    for flag in sorted(result.flags, key=lambda each: rank(each.severity)):
        made.update(dict.fromkeys(flag.resources, flag.severity))
    return made


def flag_of(flag: Flag) -> RecordFlag:
    """A flag as the pages get it."""
    return RecordFlag(
        episode=flag.id, rule=flag.rule, version=flag.version, title=flag.title, problem=flag.problem,
        severity=flag.severity, text=clean(flag.text), since=flag.since.isoformat(), evidence=evidence_of(flag),
        source=flag.source, url=flag.url, missing=[clean(each) for each in flag.missing],
        notes=[clean(each) for each in flag.notes], advice=flag.advice,
    )  # fmt: skip


def evidence_of(flag: Flag) -> list[FlagEvidence]:
    """The facts that a flag rests on."""
    return [
        FlagEvidence(id=each.id, name=clean(each.name), shown=clean(each.shown),
                     at=None if each.at is None else each.at.isoformat())
        for each in flag.evidence
    ]  # fmt: skip


def _moment(workspace: Workspace, found: Opened, at: At) -> datetime:
    now = workspace.now()
    newest = newest_moment([found.timeline])
    if at == "newest" or (at == "auto" and now - newest > _STALE):
        return newest
    return now
