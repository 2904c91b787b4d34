"""`aris audit`: the audit trail, and whether it is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aris.cli.groups import with_groups
from aris.cli.outcome import FAILED, Group
from aris.cli.reading import house as place
from aris.cli.terminal import note, one_line, write, write_json
from aris.errors import StoreError

_TERMINAL = "(terminal)"
app = typer.Typer(
    name="audit",
    cls=Group,
    help="The audit trail: who viewed, edited, signed and exported what, in a keyed chain.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
@with_groups
def verify(
    where: place.HouseOptions,
    heads: Annotated[
        list[Path] | None,
        typer.Option("--heads", metavar="FILE", help="Exported heads; may be repeated. They show a cut at the end."),
    ] = None,
    json: place.JsonOption = False,
) -> None:
    """Check that no event was changed, removed or moved, and that none is missing up to the last exported head.

    Exit code 1 where something is wrong. Heads of the site's `audit_heads` are used without being named.

    Example:

        aris audit verify --heads /mnt/usb/heads.jsonl
    """
    with where.house() as found:
        from aris.store.reading.audit import read_heads

        files = list(heads or [])
        if (own := found.settings.audit_heads) is not None and own.exists() and own not in files:
            files.append(own)
        known = [head for path in files for head in read_heads(path)]
        with found.store.sessions.reading() as session:
            last = found.trail.head(session).number
            wrong = found.trail.verify(session, known)
    if json:
        write_json({"events": last, "heads": len(known), "sound": not wrong, "problems": wrong})
    else:
        for line in wrong:
            write(f"{one_line(line)}\n")
    if wrong:
        note(f"error: the audit trail is not whole: {len(wrong)} places")
        raise typer.Exit(FAILED)
    if not json:
        upto = f", and none is missing up to the head of event {max(each.number for each in known)}" if known else ""
        write(f"{last} events, whole{upto}\n")
    if not known:
        note("! without an exported head nobody can tell whether events were cut off at the end; see `aris audit head`")


@app.command()
@with_groups
def head(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="Is added to; keep it on another machine.")],
    where: place.TrailOptions,
    json: place.JsonOption = False,
) -> None:
    """Export the newest event's seal, with which a cut is found later.

    Example:

        aris audit head /mnt/usb/heads.jsonl
    """
    with where.house() as found, found.store.sessions.reading() as session:
        newest = found.trail.export(session, out)
    if json:
        write_json({"number": newest.number, "mac": newest.mac, "file": str(out)})
    else:
        write(f"event {newest.number}\n")


@app.command()
@with_groups
def export(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="Of FHIR R4, a Bundle of AuditEvent; - for stdout.")],
    where: place.TrailOptions,
    after: Annotated[int, typer.Option(min=0, help="Only events after this number.")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="Events at most.")] = 100_000,
) -> None:
    """Export events as FHIR R4, the oldest first, for a site's own audit repository. This is an event itself.

    Example:

        aris audit export --after 12000 audit.json
    """
    with where.house() as found:
        import json as json_text
        from datetime import UTC, datetime

        from aris.exchange.documents.fhir_audit import audit_bundle
        from aris.private import write_private
        from aris.store.reading import house
        from aris.store.reading.audit import events

        now = datetime.now(UTC)
        with found.store.sessions.reading() as session:
            rows = events(session, after=after, limit=limit, oldest_first=True)
            made = audit_bundle(rows, house.identity(session), now)
        text = json_text.dumps(made, ensure_ascii=False) + "\n"
        if str(out) == "-":
            write(text)
        else:
            try:
                write_private(out, text.encode())
            except OSError as error:
                raise StoreError(f"{out}: cannot be written ({error.strerror})") from None
        found.store.sessions.write(
            lambda session: found.trail.add(session, _TERMINAL, "export audit", now=now, events=len(rows), after=after)
        )
    last = rows[-1].number if rows else after
    note(f"{len(rows)} events, the last is {last}")


@app.command(name="list")
@with_groups
def list_events(
    where: place.StoreOptions,
    study: Annotated[str, typer.Option(help="Study Instance UID.")] = "",
    user: Annotated[str, typer.Option(help="Login.")] = "",
    action: Annotated[str, typer.Option(help="As sign.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Events at most.")] = 50,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout an event, one a line.")] = False,
) -> None:
    """List events, the newest first.

    Example:

        aris audit list --action sign
    """
    with where.open() as found:
        from aris.store.reading.audit import events

        with found.sessions.reading() as session:
            rows = events(session, subject=study, actor=user, action=action, limit=limit)
    for row in rows:
        if json:
            write_json({"number": row.number, "at": row.at, "user": row.actor, "action": row.action,
                        "subject": row.subject, "outcome": row.outcome, "detail": row.detail})  # fmt: skip
        else:
            detail = " ".join(f"{key}={value}" for key, value in row.detail.items() if value is not None)
            write(f"{row.number:6}  {row.at[:19]}  {one_line(row.actor):12}  {one_line(row.action):10}  {row.outcome:7}"
                  f"  {one_line(row.subject)}  {one_line(detail)}\n")  # fmt: skip
