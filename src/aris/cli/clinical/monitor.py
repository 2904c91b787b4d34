"""`aris monitor`: rules over a record, once or as it grows."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aris.cli.clinical.monitor_options import SubscribeOptions
from aris.cli.groups import ModelOptions, with_groups
from aris.cli.outcome import FAILED, INTERRUPTED, report
from aris.cli.session import Session
from aris.cli.terminal import heading, note, one_line, write, write_json

if TYPE_CHECKING:
    from aris.flow.monitoring import Event
    from aris.flow.monitoring.subscribed import Subscribed
    from aris.records import Timeline
    from aris.tasks.monitor import Alarm, Flag, Monitored, RuleSet

_FOLLOW = "Following"
_RULES = "Rules"
_WORDS = "Wording"


@with_groups
def monitor(
    model: ModelOptions,
    subscribe: SubscribeOptions,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="BUNDLE|FOLDER|URL",
            help="A FHIR R4 file (JSON, NDJSON, gzip), a folder of them, or a patient's address on a FHIR server.",
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Judge the record as it was known then, as 2024-05-01T08:00Z; 'newest' is when it last learned "
            "something. Default: now.",
        ),
    ] = None,
    patient: Annotated[str | None, typer.Option(metavar="ID", help="One patient of several.")] = None,
    token: Annotated[
        str | None, typer.Option(envvar="ARIS_FHIR_TOKEN", show_envvar=True, help="Bearer token of the FHIR server.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on, and tell each alarm once.", rich_help_panel=_FOLLOW)
    ] = False,
    every: Annotated[
        str | None,
        typer.Option(
            metavar="SPAN", help="Time between two readings: 30s, or 5min with --subscribe, by default.",
            rich_help_panel=_FOLLOW,
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep what was told here, so that a restart goes on; the journal of all alarms lies beside it.",
            rich_help_panel=_FOLLOW,
        ),
    ] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Tell the alarms of the whole record, as it grew.", rich_help_panel=_FOLLOW)
    ] = False,
    rules: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="A site's own rules, beside or instead of those that ship.", rich_help_panel=_RULES
        ),
    ] = None,
    check_rules: Annotated[
        bool,
        typer.Option(
            "--check-rules", help="List the rules in use, and run the tests beside them.", rich_help_panel=_RULES
        ),
    ] = False,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Let a model word each flag; what it adds or lowers is refused.", rich_help_panel=_WORDS
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON Lines on stdout, one a patient or event.")] = False,
) -> None:
    """Watch a record by rules with sources: early warning scores, kidney injury, laboratory alarms, drugs, follow-up.

    No model is asked whether there is an alarm. What could not be judged is listed with its reason: it is never the
    same as nothing found. A flag is no diagnosis.

    With --follow the source is read again and again. Each alarm is told once, also over restarts with --state: it is
    in the journal exactly once; on stdout once too, but for a kill in the moment between its telling and its note.

    Examples:

        aris monitor patient.json --at newest

        aris monitor inbox/ --follow --state watch.json --json

        aris monitor https://ehr.example/fhir/Patient/1 --follow --state watch.json --subscribe https://aris.example/n

        aris monitor --check-rules --rules our-rules/
    """
    from aris.tasks.monitor import load_rules

    if follow and replay:
        raise typer.BadParameter("either --follow or --replay", param_hint="--replay")
    subscribe.require(source, follow=follow, state=state)
    span = _span(every or ("5min" if subscribe.subscribe else "30s"))
    moment = _moment(at)
    in_use = load_rules(rules)
    if check_rules:
        _check(in_use, rules, json=json)
        if source is None:
            return
    if source is None:
        raise typer.BadParameter("give a bundle, a folder or a server's address", param_hint="BUNDLE|FOLDER|URL")
    if explain and (follow or replay or state is not None):
        raise typer.BadParameter("flags are worded where a record is judged once", param_hint="--explain")
    if state is not None and not follow and replay:
        raise typer.BadParameter("--replay keeps no state", param_hint="--state")
    from aris.flow.monitoring import Source

    records = Source(source, patient=patient, token=token)
    if subscribe.unsubscribe:
        _unsubscribe(subscribe, source, patient, token, state, json=json)
    elif replay:
        _replay(records.timelines(), in_use, json=json)
    elif follow or state is not None:
        wake = partial(subscribe.woken, source, patient, token, every_s=span) if subscribe.subscribe else None
        _follow(records, in_use, state, at, moment, span if follow else None, wake, json=json)
    else:
        session = model.session() if explain else None
        _once(records.timelines(), in_use, at, moment, session, json=json)


def _once(
    timelines: list[Timeline], rules: RuleSet, at: str | None, moment: datetime | None, session: Session | None,
    *, json: bool,
) -> None:  # fmt: skip
    from aris.flow.monitoring import newest_moment
    from aris.tasks.monitor import monitor as judge
    from aris.tasks.monitor.explaining import explain

    for timeline in timelines:
        now = newest_moment([timeline]) if at == "newest" else moment or datetime.now(UTC)
        result = judge(timeline, now=now, rules=rules)
        if session is not None:
            result = result.model_copy(update={"flags": tuple(explain(each, session.backend) for each in result.flags)})
        if json:
            write_json(result.model_dump(mode="json", exclude={"state"}))
            continue
        _print(result)
        newest = newest_moment([timeline])
        if at is None and now - newest > timedelta(days=30) and timeline.records:
            note(f"the record last learned something on {newest:%Y-%m-%d}; --at newest judges it as of then")
    if not json:
        note("! a rule found this in the record; it is no diagnosis: a clinician decides what it means")


def _print(result: Monitored) -> None:
    heading(f"{result.patient or 'patient without an id'} at {result.now:%Y-%m-%d %H:%M} UTC")
    if not result.flags:
        write("  no rule's condition holds\n")
    for flag in result.flags:
        _print_flag(flag)
    missing = [each for each in result.not_assessed if each.kind != "outside"]
    outside = [each for each in result.not_assessed if each.kind == "outside"]
    for title, found in (("not assessed, for want of data", missing), ("not assessed, not for this patient", outside)):
        if found:
            write(f"  {title}:\n")
            for each in found:
                write(f"    {one_line(each.title)}: {one_line(each.reason)}\n", raw=True)
    for problem in result.problems:
        write(f"  ! {one_line(problem)}\n", raw=True)


def _print_flag(flag: Flag) -> None:
    write(f"  [{flag.severity}] {one_line(flag.title)}: {one_line(flag.text)}\n", raw=True)
    if flag.explanation:
        write(f"      {one_line(flag.explanation)}\n", raw=True)
    write(f"      since {flag.since:%Y-%m-%d %H:%M}; rule {flag.rule} {flag.version}\n")
    write(f"      {one_line(flag.source)}\n", raw=True)
    write(f"      {one_line(', '.join(flag.resources))}\n", raw=True)
    if flag.missing:
        write(f"      not documented, so it may be worse: {one_line(', '.join(flag.missing))}\n", raw=True)
    for text in (*flag.notes, flag.advice):
        if text:
            write(f"      {one_line(text)}\n", raw=True)


def _follow(
    source: Any, rules: RuleSet, state: Path | None, at: str | None, moment: datetime | None, every_s: float | None,
    wake: Callable[[Path], AbstractContextManager[Subscribed]] | None, *, json: bool,
) -> None:  # fmt: skip
    from aris.flow.monitoring import Follower, newest_moment

    def clock(timelines: list[Timeline]) -> datetime:
        return newest_moment(timelines) if at == "newest" else moment or datetime.now(UTC)

    with _state_file(state) as path:
        follower = Follower(source, path, rules, clock)
        try:
            if every_s is None:
                for event in follower.step():
                    _tell(event, json=json)
                if not json:
                    for result in follower.last:
                        _print(result)
                return
            stop = threading.Event()
            ended_by = _stop_on_signals(stop)
            if not json:
                note(f"following {source.address}; Ctrl-C stops it")
            with wake(path) if wake is not None else nullcontext() as woken:
                follower.run(every_s, lambda event: _tell(event, json=json), report, stop, woken)
            if ended_by == [signal.SIGINT]:
                raise typer.Exit(INTERRUPTED)
        finally:
            follower.close()


@contextmanager
def _state_file(state: Path | None) -> Iterator[Path]:
    if state is not None:
        yield state
        return
    import tempfile

    with tempfile.TemporaryDirectory(prefix="aris-monitor-") as folder:
        yield Path(folder) / "state.json"


def _stop_on_signals(stop: threading.Event) -> list[int]:
    """Let a first SIGINT or SIGTERM end the watch after its step, and a second one at once."""
    came: list[int] = []

    def on_signal(number: int, _: Any) -> None:
        if came:
            os._exit(INTERRUPTED)
        came.append(number)
        stop.set()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, on_signal)
    return came


def _unsubscribe(
    options: SubscribeOptions, source: str, patient: str | None, token: str | None, state: Path | None, *, json: bool
) -> None:
    assert state is not None
    count = options.take_away(source, patient, token, state)
    if json:
        write_json({"removed": count})
    else:
        note(f"{count} Subscriptions taken away at the server")


def _tell(event: Event, *, json: bool) -> None:
    if json:
        write_json(event.model_dump(mode="json", exclude_none=True))
    elif event.alarm is not None:
        _print_alarm(event.alarm)
    elif event.ended is not None:
        ended = event.ended
        what = f"{one_line(event.patient)} ended ({ended.reason}): {one_line(ended.title)}"
        write(f"{ended.at:%Y-%m-%d %H:%M} {what}\n", raw=True)


def _print_alarm(alarm: Alarm) -> None:
    flag = alarm.flag
    write(
        f"{alarm.raised:%Y-%m-%d %H:%M} {one_line(flag.patient)} [{flag.severity}, {alarm.reason}] "
        f"{one_line(flag.title)}: {one_line(flag.text)}  (rule {flag.rule} {flag.version}; "
        f"{one_line(', '.join(flag.resources[:5]))})\n",
        raw=True,
    )


def _replay(timelines: Iterable[Timeline], rules: RuleSet, *, json: bool) -> None:
    from aris.tasks.monitor import replay

    for timeline in timelines:
        result = replay(timeline, rules=rules)
        for alarm in result.alarms:
            if json:
                write_json({"event": "alarm", "patient": timeline.patient.id, "alarm": alarm.model_dump(mode="json")})
            else:
                _print_alarm(alarm)
        if not json:
            note(
                f"{timeline.patient.id}: {len(result.alarms)} alarms over {result.moments:,} moments; without any "
                f"grouping {sum(result.raised.values()):,}"
            )


def _check(rules: RuleSet, folder: Path | None, *, json: bool) -> None:
    from aris.tasks.monitor.rule_tests import try_rules

    tried = try_rules(rules)
    # A site's rule that stands in for a shipped one is judged by the site's tests.
    replaced = {name for name, where in (rules.origins or {}).items() if "shipped" not in where}
    tried = [each for each in tried if each.rule not in replaced]
    if folder is not None:
        tried += try_rules(rules, folder)
    failed = [each for each in tried if not each.passed]
    for rule in rules:
        own = [each for each in tried if each.rule == rule.id]
        row = {
            "rule": rule.id, "version": rule.version, "title": rule.title, "author": rule.author,
            "approved_by": rule.approved.by, "source": rule.source.text, "from": (rules.origins or {}).get(rule.id, ""),
            "tests": len(own), "failed": [each.name for each in own if not each.passed],
        }  # fmt: skip
        if json:
            write_json(row)
        else:
            untested = "  ! no tests beside it" if not own else ""
            write(f"{rule.id} {rule.version}  {len(own)} tests  {one_line(str(row['from']))}{untested}\n", raw=True)
    for each in failed:
        note(f"error: rule {each.rule}, test {each.name!r}: expected {each.expected}, came {each.came}")
    if failed:
        raise typer.Exit(FAILED)


def _span(text: str) -> float:
    units = {"s": 1.0, "min": 60.0, "h": 3600.0}
    for unit in ("min", "h", "s"):
        number = text.removesuffix(unit)
        if number != text and number.strip().replace(".", "", 1).isdigit() and float(number) > 0:
            return float(number) * units[unit]
    raise typer.BadParameter(f"{text!r}: write a span as 30s, 5min or 1h", param_hint="--every")


def _moment(text: str | None) -> datetime | None:
    if text is None or text == "newest":
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r}: write a time as 2024-05-01T08:00Z, or newest", param_hint="--at"
        ) from None
    if not 1900 <= found.year <= 2200:
        raise typer.BadParameter(f"{text!r}: a year from 1900 to 2200", param_hint="--at")
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


