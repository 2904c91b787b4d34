"""`aris read`: a study's draft, its text, and its signature, in a terminal."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aris.cli.groups import with_groups
from aris.cli.outcome import FAILED, Group
from aris.cli.reading import house as place
from aris.cli.reading.shown import as_json, show, show_priors
from aris.cli.terminal import note, one_line, write, write_json
from aris.errors import ArisError
from aris.private import write_private
from aris.regular import read_regular

if TYPE_CHECKING:
    from aris.flow.house import House
    from aris.flow.reading.priors import Prior
    from aris.flow.reading.reading_room import Opened

app = typer.Typer(
    name="read",
    cls=Group,
    help="Read a study: open, edit, sign, add, and tell of critical results.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_MARK = "# "

Study = place.StudyArgument
Look = place.LookArgument
SeenOption = Annotated[
    int | None, typer.Option("--seen", min=0, help="How many of the study's images you saw; kept with the signature.")
]


@app.command(name="show")
@with_groups
def show_study(
    study: Look,
    user: place.UserOption,
    where: place.HouseOptions,
    json: place.JsonOption = False,
) -> None:
    """Show a study, its draft, its texts and its signatures, without opening it.

    Example:

        aris read show next --user ana
    """
    with where.house() as found:
        uid = place.study_of(found, study, look=True)
        _tell(_room(found).look(user, uid), _priors(found, uid), json=json)


@app.command(name="open")
@with_groups
def open_study(
    study: Look,
    user: place.UserOption,
    where: place.HouseOptions,
    json: place.JsonOption = False,
) -> None:
    """Open a study to read it: others see in the worklist who has it.

    Example:

        aris read open next --user ana
    """
    with where.house() as found:
        uid = place.study_of(found, study, look=True)
        _tell(_room(found).open(user, uid), _priors(found, uid), json=json)


@app.command()
@with_groups
def priors(
    study: Study,
    user: place.UserOption,
    where: place.HouseOptions,
    look: Annotated[bool, typer.Option("--look", help="Ask the site's archives now.")] = False,
    fetch: Annotated[
        str | None, typer.Option(metavar="UID", help="Have this study of the list fetched from its archive.")
    ] = None,
    json: place.JsonOption = False,
) -> None:
    """List the patient's other studies, here and in the site's archives; have one fetched to compare with.

    Examples:

        aris read priors A123 --user ana --look

        aris read priors A123 --user ana --fetch 1.2.840.99.7
    """
    with where.house() as found:
        from aris.flow.reading import archives

        uid = place.study_of(found, study)
        _room(found).look(user, uid)
        if look:
            if not found.settings.archives:
                raise ArisError("priors: the site has no archives; name them in site.yaml (docs/reading.md)")
            archives.look(found, uid)
        if fetch is not None:
            archives.ask_for(found, user, uid, fetch)
        earlier = _priors(found, uid)
    if json:
        write_json({"study": uid, "priors": [each.__dict__ for each in earlier]})
        return
    show_priors(earlier)
    if fetch is not None:
        note("asked for; it comes while `aris flow run` or `aris serve` runs")
    elif not earlier:
        note("no other study of this patient is known")


@app.command()
@with_groups
def close(
    study: Study,
    user: place.UserOption,
    where: place.HouseOptions,
    json: place.JsonOption = False,
) -> None:
    """Put a study back into the list, unsigned; texts that were kept stay."""
    with where.house() as found:
        uid = place.study_of(found, study)
        _room(found).close(user, uid)
    _done(json, "put back", study=uid)


@app.command()
@with_groups
def edit(
    study: Study,
    user: place.UserOption,
    where: place.HouseOptions,
    section: Annotated[
        list[str] | None,
        typer.Option("--section", "-s", metavar="NAME=TEXT", help="A section's new text; may be repeated."),
    ] = None,
    file: Annotated[
        str | None, typer.Option("--file", "-f", help="A file with `# findings` and so on as headings; - reads stdin.")
    ] = None,
    base: Annotated[
        int | None, typer.Option(min=0, help="Number of the text that was changed; by default the newest.")
    ] = None,
    json: place.JsonOption = False,
) -> None:
    """Change a study's text: in $EDITOR, from a file, or section by section.

    Where another reader kept a text meanwhile, yours is kept beside it, and the exit code is 1: open the study again.

    Examples:

        aris read edit A123 --user ana

        aris read edit A123 --user ana -s impression='No pneumothorax.'
    """
    with where.house() as found:
        uid = place.study_of(found, study)
        room = _room(found)
        number = base
        if section or file is not None:
            values = _sections(section or [], file)
            if number is None:
                number = room.look(user, uid).reading.text_number
            saved = room.edit(user, uid, values, number)
        else:
            opened = room.open(user, uid)
            number = opened.reading.text_number if number is None else number
            written = _in_editor(_written(opened))
            with _kept_if_lost(found, written):
                saved = room.edit(user, uid, _parsed(written), number)
    if json:
        write_json({"study": uid, "text": saved.number, "newest": saved.newest, "author": saved.author})
    elif saved.number is not None:
        write(f"kept as text {saved.number}\n")
    if saved.number is None:
        note(f"error: {saved.author} kept text {saved.newest} meanwhile; yours is kept beside it: see `aris read show`")
        raise typer.Exit(FAILED)


@app.command()
@with_groups
def sign(
    study: Study,
    user: place.UserOption,
    text: Annotated[int, typer.Option("--text", min=1, help="Number of the text that you read, as `show` tells it.")],
    where: place.HouseOptions,
    correction: Annotated[
        bool, typer.Option("--correction", help="The text takes the place of a report that is signed already.")
    ] = False,
    seen: SeenOption = None,
    password_stdin: place.PasswordOption = False,
    json: place.JsonOption = False,
) -> None:
    """Sign a study's text: you answer for it from now on. Your password is asked for.

    The signed report goes to the site's destinations; `aris flow run` delivers it.

    Example:

        aris read sign A123 --user ana --text 2
    """
    with where.house() as found:
        from aris.flow.reading.signing import Desk

        uid = place.study_of(found, study)
        word = place.password(stdin=password_stdin)
        made = Desk(found).sign(user, word, uid, text, correction=correction,
                                seen=None if seen is None else {"images": seen})  # fmt: skip
    _signed(uid, made, json=json)


@app.command()
@with_groups
def addendum(
    study: Study,
    user: place.UserOption,
    text: Annotated[str, typer.Option("--text", help="What is added; - reads stdin.")],
    where: place.HouseOptions,
    password_stdin: place.PasswordOption = False,
    json: place.JsonOption = False,
) -> None:
    """Add a text to a signed report, as a version that names the one it follows. Your password is asked for."""
    with where.house() as found:
        from aris.flow.reading.signing import Desk

        uid = place.study_of(found, study)
        word = place.password(stdin=password_stdin)
        made = Desk(found).addend(user, word, uid, sys.stdin.read() if text == "-" else text)
    _signed(uid, made, json=json)


@app.command()
@with_groups
def critical(
    study: Study,
    user: place.UserOption,
    where: place.HouseOptions,
    finding: Annotated[str | None, typer.Option("--finding", help="Say that the study has this result.")] = None,
    number: Annotated[int | None, typer.Option("--number", help="Of the result that somebody was told of.")] = None,
    whom: Annotated[str, typer.Option("--whom", help="Whom you tried to tell.")] = "",
    how: Annotated[str, typer.Option("--how", help="As telephone.")] = "",
    outcome: Annotated[
        str | None, typer.Option("--outcome", help="read back, told, message left, not reached, or withdrawn.")
    ] = None,
    remark: Annotated[str, typer.Option("--note", help="A remark; needed where it is withdrawn.")] = "",
    json: place.JsonOption = False,
) -> None:
    """Raise a critical result, or note an attempt to tell somebody of it. It is open until it was read back.

    Examples:

        aris read critical A123 --user ana --finding Pneumothorax

        aris read critical A123 --user ana --number 1 --whom 'Dr. Roe' \\
            --how telephone --outcome 'read back'
    """
    if (finding is None) == (number is None) or (number is not None and outcome is None):
        raise typer.BadParameter("give --finding, or --number with --outcome", param_hint="--finding")
    with where.house() as found:
        uid, room = place.study_of(found, study), _room(found)
        if finding is not None:
            row = room.raise_critical(user, uid, finding)
            _done(json, f"critical result {row.id} is open", study=uid, number=row.id, open=True)
            return
        assert number is not None and outcome is not None
        still = room.tell(user, uid, number, whom=whom, how=how, outcome=outcome, note=remark)
    _done(json, f"noted; it is {'still open' if still else 'done'}", study=uid, number=number, open=still)


@app.command()
@with_groups
def judge(
    study: Study,
    user: place.UserOption,
    verdict: Annotated[str, typer.Option(help="accepted, edited, rejected, added or unchanged.")],
    where: place.HouseOptions,
    finding: Annotated[str | None, typer.Option(help="Name of one of the draft's findings.")] = None,
    sentence: Annotated[str | None, typer.Option(help="A sentence of the draft, or one that was added.")] = None,
    said: Annotated[str, typer.Option(help="The sentence that took its place.")] = "",
    draft: Annotated[int | None, typer.Option(min=1, help="Number of the draft; the newest by default.")] = None,
    json: place.JsonOption = False,
) -> None:
    """Give a verdict on what the model wrote; a finding that is rejected does not leave with the report.

    Example:

        aris read judge A123 --user ana --finding pneumonia --verdict rejected
    """
    if (finding is None) == (sentence is None):
        raise typer.BadParameter("give --finding or --sentence", param_hint="--finding")
    kind, about = ("finding", finding) if finding is not None else ("sentence", sentence)
    with where.house() as found:
        uid = place.study_of(found, study)
        _room(found).judge(user, uid, kind=kind, about=about or "", verdict=verdict, said=said, draft=draft)
    _done(json, "noted", study=uid, kind=kind, about=about, verdict=verdict)


@app.command()
@with_groups
def agreement(
    where: place.StoreOptions,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout a row, one a line.")] = False,
) -> None:
    """Count readers' verdicts by model version and month: the local watch on what the model writes."""
    with where.open() as found:
        from aris.store.reading.verdicts import agreement as counted

        with found.sessions.reading() as session:
            rows = counted(session)
    for row in rows:
        if json:
            write_json(row)
        else:
            share = "-" if row["agreed"] is None else f"{row['agreed']:.0%}"
            names = ("accepted", "edited", "rejected", "added", "unchanged")
            counts = ", ".join(f"{row[name]} {name}" for name in names)
            write(f"{row['month']}  {one_line(row['model'])} {one_line(row['revision'])}  {row['kind']:8}  {counts}"
                  f"  agreed {share} of {row['judged']} judged\n")  # fmt: skip
    if not rows:
        note("no verdicts yet; `aris read judge` gives them")


def _room(found: House) -> Any:
    from aris.flow.reading.reading_room import ReadingRoom

    return ReadingRoom(found)


def _priors(found: House, study: str) -> list[Prior]:
    from aris.flow.reading.priors import priors

    return priors(found, study)


def _tell(opened: Opened, earlier: list[Prior], *, json: bool) -> None:
    if json:
        write_json({**as_json(opened), "priors": [each.__dict__ for each in earlier]})
    else:
        show(opened)
        show_priors(earlier)


def _done(json: bool, text: str, **values: Any) -> None:
    if json:
        write_json(values)
    else:
        write(f"{text}\n")


def _signed(study: str, made: Any, *, json: bool) -> None:
    if json:
        write_json({"study": study, "version": made.number, "state": made.state, "sha256": made.digest,
                    "destinations": list(made.destinations), "warnings": list(made.warnings)})  # fmt: skip
    else:
        goes = f"; goes to {', '.join(made.destinations)}" if made.destinations else ""
        write(f"version {made.number} is signed: {made.state}{goes}\n")
    for each in made.warnings:
        note(f"! {each}")


def _sections(pairs: list[str], file: str | None) -> dict[str, str]:
    values: dict[str, str] = {}
    if file is not None:
        try:
            text = sys.stdin.read() if file == "-" else read_regular(file).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise ArisError(f"{file}: cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'})") from None
        values = _parsed(text)
    for each in pairs:
        name, sign, text = each.partition("=")
        if not sign:
            raise typer.BadParameter("write NAME=TEXT, as impression='No fracture.'", param_hint="--section")
        values[name.strip()] = text
    return values


def _written(opened: Opened) -> str:
    from aris.tasks import Sections

    return "".join(f"{_MARK}{name}\n{getattr(opened.sections, name)}\n\n" for name in Sections.model_fields)


def _parsed(text: str) -> dict[str, str]:
    from aris.tasks import Sections

    values: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        head = line.removeprefix(_MARK).strip().lower()
        if line.startswith(_MARK) and head in Sections.model_fields:
            name = head
            values[name] = []
        elif name:
            values[name].append(line)
        elif line.strip():
            raise ArisError("edit: there is text before the first heading; begin with `# findings` or another section")
    return {key: "\n".join(lines).strip() for key, lines in values.items()}


@contextlib.contextmanager
def _kept_if_lost(found: House, text: str) -> Iterator[None]:
    """Keep what somebody wrote in a file, in the store's folder, where it cannot be kept as a text.

    Raises:
        ArisError: it could not, and where it lies now.
    """
    try:
        yield
    except ArisError as error:
        unsaved = found.store.folder / f"unsaved-{secrets.token_hex(4)}.txt"
        write_private(unsaved, text.encode(errors="replace"))
        raise ArisError(f"{error}; your text is in {unsaved}: give it with --file") from None


def _in_editor(text: str) -> str:
    """The text as somebody leaves it in an editor.

    Raises:
        ArisError: the editor cannot be run, or failed.
    """
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="aris-") as folder:  # for the owner alone
        path = Path(folder) / "report.txt"
        path.write_text(text)
        try:
            done = subprocess.run([*shlex.split(command), str(path)], check=False)
        except (OSError, ValueError):
            raise ArisError(f"edit: {command}: cannot be run; set EDITOR, or give --section or --file") from None
        if done.returncode:
            raise ArisError(f"edit: {command} ended with {done.returncode}; nothing was changed")
        return path.read_text(errors="replace")
