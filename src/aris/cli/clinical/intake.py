"""`aris intake`: questions before a visit, in the terminal or line by line from a pipe."""

from __future__ import annotations

import json as json_text
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aris.cli.groups import ModelOptions, with_groups
from aris.cli.options import shared as o
from aris.cli.outcome import FAILED, INTERRUPTED
from aris.cli.terminal import note, write, write_json
from aris.errors import ArisError, DataError

if TYPE_CHECKING:
    from aris.backends import Backend
    from aris.cli.session import Session
    from aris.tasks.intake import IntakeState, Question, Site

_NO_MODEL = "none"


@with_groups
def intake(
    model: ModelOptions,
    site: Annotated[
        Path | None,
        typer.Option("--site", metavar="FILE", help="The site's settings in YAML: emergency number, clinic, lines."),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="FILE", help="Go on with a saved intake, at the same question.")
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="FILE", help="Save after every answer; by default to the file of --resume."),
    ] = None,
    fhir: Annotated[
        Path | None,
        typer.Option("--fhir", metavar="FILE", help="Write the result as a FHIR Bundle when the questions have ended."),
    ] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", metavar="REFERENCE", help="The patient in FHIR, as Patient/123.")
    ] = None,
    summary: Annotated[
        bool, typer.Option("--summary/--no-summary", help="Print the clinician's summary after the end.")
    ] = True,
    json: Annotated[
        bool,
        typer.Option(
            "--json", help="JSON Lines: a question a line on stdout, an answer a line on stdin, then the result."
        ),
    ] = False,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="HOST:PORT",
            help="Serve the page for patients' phones there instead; the clinic's programs make links with --api-key.",
            rich_help_panel="Page",
        ),
    ] = None,
    sessions: Annotated[
        Path, typer.Option("--sessions", metavar="DIR", help="Where the page keeps intakes.", rich_help_panel="Page")
    ] = Path("aris-intakes"),
    api_key: o.ApiKeyOption = None,
) -> None:
    """Ask a patient the questions before a visit, one at a time, 20 at most; then print a summary for the clinician.

    Rules that are fixed and sourced look for warning signs in every answer: in an emergency the advice to call the
    site's emergency number is shown at once, and the questions end. The model only chooses which question comes next;
    --model none asks in a fixed order, as happens too when the model fails. English only. It gives no diagnosis.

    With --json, an answer is a line of text, a JSON string, or an object with "answer".

    Examples:

        aris intake --model none --site site.yaml

        aris intake --save visit.json --fhir visit.fhir.json

        aris intake --listen 127.0.0.1:8700 --sessions intakes --site site.yaml

        printf 'yes\\nme\\n54\\ncrushing chest pain\\n' | aris intake --json --model none
    """
    from aris.tasks.intake import Site, advice, read_site, start
    from aris.tasks.intake import resume as resumed

    settings = Site() if site is None else read_site(site)
    off = str(model.model) == _NO_MODEL and model.backend_url is None
    if listen is not None:
        _serve(listen, sessions, settings, api_key, None if off else model.session())
        return
    if resume is not None:
        try:
            state = resumed(resume.read_bytes())
        except OSError as error:
            raise DataError(f"{resume}: {error.strerror or error}") from None
    else:
        state = start()
    kept = save or resume
    if kept is not None and resume is None and kept.exists() and kept.stat().st_size:
        raise typer.BadParameter(f"{kept} is there; go on with --resume {kept}, or name another", param_hint="--save")
    model_or_none = _Model(model.session(), off=off)
    try:
        state = _talk(state, settings, model_or_none, kept, json)
    except KeyboardInterrupt:
        _stopped(kept)
        raise typer.Exit(INTERRUPTED) from None
    if state.status in ("consent", "asking"):
        _stopped(kept)
        raise typer.Exit(FAILED)
    told = advice(state, settings)
    if not json:
        write(f"\n{told}\n")
    if state.status == "declined":
        if kept is not None:
            with suppress(OSError):
                kept.unlink()
        if json:
            write_json({"event": "result", "status": "declined", "advice": told})
        return
    _result(state, settings, told, fhir, subject, summary, json)


def _serve(at: str, folder: Path, site: Site, api_key: str | None, session: Session | None) -> None:
    """Serve the page; without a model the questions go in the fixed order."""
    if api_key is None:
        raise typer.BadParameter("--listen needs a key for the clinic's side; set ARIS_API_KEY", param_hint="--api-key")
    from aris.service.intake.running import serve_intake

    backend = None if session is None else session.backend
    serve_intake(
        folder, site, at, api_key, backend, lambda url: note(f"intake at {url}; POST /intake/sessions makes links")
    )


class _Model:
    """The model, loaded after consent; without one, or with one that fails to load, the order is the base's."""

    def __init__(self, session: Session, *, off: bool) -> None:
        self._session, self._off = session, off

    def get(self, state: IntakeState) -> Backend | None:
        if self._off or state.status != "asking":
            return None
        try:
            return self._session.backend
        except ArisError as error:
            self._off = True
            note(f"! {error}; the questions go on without a model, in a fixed order")
            return None


def _talk(state: IntakeState, site: Site, model: _Model, kept: Path | None, json: bool) -> IntakeState:
    from aris.tasks.intake import answer, question

    typing = sys.stdin.isatty()
    while (asked := question(state, site)) is not None:
        if json:
            write_json({"event": "question"} | asked.model_dump(mode="json"))
        else:
            write(_shown(asked))
        said = _read(typing, json)
        if said is None:
            break
        state = answer(state, said, site=site, model=model.get(state))
        # Before consent nothing is kept.
        if kept is not None and (state.answers or state.facts or state.status == "asking"):
            _save(state, kept)
    return state


def _shown(asked: Question) -> str:
    lines = [""]
    if asked.note:
        lines += [asked.note, ""]
    count = f"({asked.number} of at most {asked.limit}) " if asked.number else ""
    lines.append(f"{count}{asked.text}")
    lines += [f"  {number}. {option.text}" for number, option in enumerate(asked.options, 1)]
    if asked.type == "list":
        lines += ["  0. None of these", "Type the numbers of all that apply."]
    if asked.hint:
        lines.append(asked.hint)
    return "\n".join(lines) + "\n"


def _read(typing: bool, json: bool) -> str | None:
    """The next answer; None at the end of the input."""
    if typing:
        with suppress(ImportError):
            import readline  # noqa: F401  (gives input() its editing)
        try:
            return input("> ")
        except EOFError:
            return None
    line = sys.stdin.readline()
    if not line:
        return None
    return _unwrapped(line) if json else line.rstrip("\n")


def _unwrapped(line: str) -> str:
    """The answer of a line: a JSON string, an object with "answer", or the line itself."""
    try:
        value: Any = json_text.loads(line)
    except (ValueError, RecursionError):
        return line.rstrip("\n")
    if isinstance(value, dict):
        value = value.get("answer", "")
    if isinstance(value, list):
        return ", ".join(str(each) for each in value)
    return value if isinstance(value, str) else line.strip() if value is None else str(value)


def _save(state: IntakeState, path: Path) -> None:
    from aris.private import write_private

    try:
        write_private(path, state.model_dump_json().encode())
    except OSError as error:
        note(f"! {path}: {error.strerror or error}; the answers so far are not saved")


def _stopped(kept: Path | None) -> None:
    where = f"go on with --resume {kept}" if kept is not None else "nothing was saved; --save FILE keeps the answers"
    note(f"stopped: the intake is not finished; {where}")


def _result(
    state: IntakeState, site: Site, told: str, fhir: Path | None, subject: str | None, summary: bool, json: bool
) -> None:
    from aris.tasks.intake import as_text, summarize

    found = summarize(state)
    if fhir is not None:
        from aris.exchange.documents.intake import intake_bundle
        from aris.private import write_private

        authored = datetime.now(UTC).isoformat(timespec="seconds")
        document = intake_bundle(state, site, subject=subject, authored=authored)
        try:
            write_private(fhir, json_text.dumps(document, indent=1).encode())
        except OSError as error:
            raise DataError(f"{fhir}: {error.strerror or error}") from None
    if json:
        write_json(
            {"event": "result", "status": state.status, "level": state.risk.level, "advice": told}
            | ({"summary": found.model_dump(mode="json")} if summary else {})
        )
    elif summary:
        write(f"\n--- For the clinician ---\n{as_text(found)}\n")
