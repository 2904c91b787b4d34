"""`aris draft`: a draft report of a film, as the model writes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aris.cli.clinical.evidence_maps import Maps
from aris.cli.groups import FilmOptions, ModelOptions, WritingOptions, with_groups
from aris.cli.options import shared as o
from aris.cli.options.burned_in import BurnedInText, TextOption
from aris.cli.options.kinds import KindOption, kind
from aris.cli.options.names import inside, without
from aris.cli.outcome import FAILED, interruptible, report
from aris.cli.session import Session
from aris.cli.terminal import heading, note, one_line, probability, working, write, write_json
from aris.errors import ArisError, ImageError

if TYPE_CHECKING:
    from aris.backends import GenerationOptions
    from aris.imaging import Skipped
    from aris.tasks import Case, Draft, FilmFindings
    from aris.tasks.calibration.answers import Calibration

INCOMPLETE = "the draft is not complete"


@with_groups
def draft(
    files: Annotated[
        list[str], typer.Argument(metavar="PATH", help="Films, images, slides, series; folders and zips of them.")
    ],
    model: ModelOptions,
    writing: WritingOptions,
    film: FilmOptions,
    image_kind: KindOption = None,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", metavar="FILE", help="A site's own, made by aris calibrate.")
    ] = None,
    evidence: o.EvidenceOption = None,
    look_for_text: TextOption = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout a file, one a line.")] = False,
    force: o.ForceOption = False,
) -> None:
    """Draft a report of each examination: gate and scored findings first, then the text as it is written.

    A folder or archive is sorted into studies, which come one after another; what cannot be read stops nothing, and
    the exit code is then 1. What is outside the model's declared scope gets no text, which leaves the exit code 0: the
    summary counts it. Nothing here is ever more than a draft.

    Examples:

        aris draft chest.dcm

        aris draft study.zip --model medgemma-1.5-4b-it --json > drafts.jsonl

        aris draft chest.png --json | jq .sections.impression

        aris draft chest.dcm --model medgemma-1.5-4b-it

        aris draft chest.dcm --evidence maps --json | aris export - -f sr
    """
    session = model.session()
    generation = writing.generation()
    maps = Maps(evidence, session)
    burned_in = BurnedInText(look_for_text)
    from aris.imaging import Skipped
    from aris.tasks.film_facts import with_facts

    failed = done = refused = left = 0
    facts = film.facts()
    for number, file in enumerate(files, 1):
        try:
            for case in _cases(session, file, image_kind):
                if isinstance(case, Skipped):
                    failed += 1
                    _refused(case, file, json=json)
                    continue
                case = with_facts(case, facts)
                with_site = session.calibration(calibration)
                if burned_in.wanted:
                    with interruptible(INCOMPLETE, text=False), working(f"looking for text on {file}"):
                        case = burned_in.on_case(case)
                written = _one(
                    session, case, with_site, maps, json=json, force=force, options=generation,
                    max_tokens=writing.max_tokens,
                )  # fmt: skip
                done += written
                refused += not written
        except ImageError as error:
            failed += 1
            if json:
                write_json({"file": file, "error": str(error)})
            report(error)
        except ArisError as error:
            report(error)
            left = len(files) - number + 1  # the next file would meet the same
            break
    if done + failed + refused + left > len(files) or ((refused or left) and len(files) > 1):
        drafts = "1 draft" if done == 1 else f"{done} drafts"
        outside = f", {refused} outside the model's scope" if refused else ""
        given_up = f", {left} of {len(files)} paths not finished" if left else ""
        note(f"{drafts}{outside}, {failed} not read{given_up}")
    if failed or left:
        raise typer.Exit(FAILED)


def _cases(session: Session, file: str, image_kind: str | None) -> Iterator[Case | Skipped]:
    from aris.tasks.cases import read_cases

    cases = read_cases(file, kind(image_kind), session.spec)
    while True:
        with interruptible(INCOMPLETE, text=False), working(f"reading {file}"):
            case = next(cases, None)
        if case is None:
            return
        yield case


def _refused(skipped: Skipped, file: str, *, json: bool) -> None:
    """Print one line for each unread file; for files inside a folder on stdout, as their names may name a patient."""
    reason = without(skipped.reason, skipped.source)
    if json:
        write_json({"file": skipped.source, "error": reason})
    elif skipped.source != file:
        write(f"not read: {one_line(skipped.source)}: {one_line(reason)}\n", raw=True)
        return
    report(ImageError(inside(f"{skipped.source}: {reason}", skipped.source, file)))


def _one(
    session: Session,
    case: Case,
    calibration: Calibration | None,
    maps: Maps,
    *,
    json: bool,
    force: bool,
    options: GenerationOptions,
    max_tokens: int | None,
) -> bool:
    """Draft one examination and print it; whether a text was written, which one outside the scope does not get."""
    file = case.source
    with interruptible(INCOMPLETE, text=False):
        backend = session.backend
        with working(f"looking at {file}"):
            from aris.tasks import DraftStream

            stream = DraftStream(
                backend, case, force=force, options=options, max_tokens=max_tokens, calibration=calibration,
                evidence=maps.wanted,
            )  # fmt: skip
    with interruptible(INCOMPLETE, text=not json):
        if json:
            for _ in stream:
                pass
            draft = stream.draft
            try:
                draft = draft.model_copy(update={"evidence": maps.save(draft.evidence, case)})
            finally:  # a full disk costs the maps and not the draft
                write_json(draft.model_dump(mode="json"))
            return bool(draft.text)
        from aris.tasks.results import DRAFT_MARK

        heading(f"{DRAFT_MARK} \u00b7 {backend.name} \u00b7 {file}")
        heading(session.caution)
        before = stream.assessment.warnings
        for warning in before:
            write(f"! {one_line(warning)}\n", raw=True)
        write(_scores(stream.assessment))
        for piece in stream:
            write(piece)
        draft = stream.draft
        _end(draft, before)
        maps.tell(maps.save(draft.evidence, case))
        heading(f"{DRAFT_MARK}. {session.caution}")
        _took(draft)
        return bool(draft.text)


def _scores(assessment: FilmFindings) -> str:
    """Format one line for each scored finding, and an empty one."""
    lines = []
    for each in assessment.findings:
        if each.probability is None:
            lines.append(f"{each.name}: {each.note}\n")
        else:
            limits = f" ({each.note})" if each.note else ""
            lines.append(f"{each.name}: {each.word}, probability {probability(each.probability)}{limits}\n")
    return "".join([*lines, "\n"]) if lines else ""


def _end(draft: Draft, before: Sequence[str]) -> None:
    """Print the lines under the text: the warnings that did not stand before it."""
    text = draft.text
    if text:
        write("\n" if text.endswith("\n") else "\n\n")
    _uncertain(draft)
    if draft.priority != "routine":
        write(f"PRIORITY: {draft.priority}\n")
    more = [each for each in draft.warnings if each not in before]
    for warning in more:
        write(f"! {one_line(warning)}\n", raw=True)
    if more or draft.priority != "routine":
        write("\n")


def _uncertain(draft: Draft) -> None:
    """The sentences of which the model was not sure."""
    confidence = draft.confidence
    if confidence is None:
        return
    for each in confidence.sentences:
        if each.marked:
            short = each.text if len(each.text) <= 70 else f"{each.text[:67]}..."
            write(f'~ uncertain wording ({probability(each.mean_probability)}): "{one_line(short)}"\n', raw=True)
    if confidence.note:
        write(f"~ confidence of sentences: {confidence.note}\n")


def _took(draft: Draft) -> None:
    """Print the time taken, on stderr."""
    rate = draft.timings.get("decode_tokens_per_s")
    first, total = draft.timings.get("first_token_s"), draft.timings.get("total_s")
    if first is not None and total is not None:
        speed = "" if rate is None else f", {rate:.0f} tokens a second"
        note(f"first token after {first:.2f} s{speed}, {total:.2f} s in all")
