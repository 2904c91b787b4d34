"""Two films of one patient compared, the earlier one first, with the published longitudinal prompt."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from aris.backends import Backend, GenerationOptions
from aris.errors import ImageError
from aris.imaging import Film
from aris.prompting import Image
from aris.prompting.builders import comparison
from aris.tasks.cases import Case, as_case
from aris.tasks.checks import Facts, check_draft
from aris.tasks.results import Comparison
from aris.tasks.scope import FORCED, Kind, not_for_patients, outside_scope, permitted
from aris.tasks.text.report import parse_report

MAX_TOKENS = 2000


class ComparisonStream(Iterator[str]):
    """A comparison while it is written; iterate for its text.

    Attributes:
        prior, current: the examinations, in the order of their dates.
        warnings: before any text.
    """

    def __init__(
        self,
        model: Backend,
        one: Case | Film | str | Path,
        other: Case | Film | str | Path,
        *,
        kind: Kind | None = None,
        force: bool = False,
        options: GenerationOptions | None = None,
    ) -> None:
        """Begin a comparison.

        Args:
            model: reads images.
            one, other: an image each. Their headers' dates say which is the prior; where one has none, `one` is.
            kind: of image; by default as the files say.
            force: go on outside the model's scope, or with two kinds of images; the result is marked.
            options: greedy and up to 2,000 tokens by default.

        Raises:
            ScopeError: outside the model's scope.
            ImageError: a file cannot be read, holds several images, or the two are of different patients or kinds.
            ModelError: the model reads no images.
        """
        first, second = as_case(one, kind, model.spec), as_case(other, kind, model.spec)
        for case in (first, second):
            if len(case.images) != 1:
                raise ImageError(f"an examination of {len(case.images)} images; two single images are compared")
        if first.header.patient and second.header.patient and first.header.patient != second.header.patient:
            raise ImageError("the two images are of different patients (Patient ID); give two of one patient")
        if first.kind != second.kind and not force:
            raise ImageError(f"one image is of {first.kind}, the other of {second.kind}; give two of one kind")
        self.warnings = permitted(model, "compare", first.kind, force=force)
        self.prior, self.current, notes = _in_order(first, second)
        self.warnings += notes
        if model.spec is not None:
            for case in (self.prior, self.current):
                if case.film is not None and case.kind == "chest film":
                    self.warnings += outside_scope(case.film, model.spec.scope)
        self.warnings += [*self.prior.warnings, *self.current.warnings]
        if not (first.header.patient and second.header.patient):
            self.warnings.append("a file has no Patient ID: that both are of one patient is not checked")
        self._model = model
        messages = comparison(Image(self.prior.images[0].pixels), Image(self.current.images[0].pixels))
        self._reply = model.stream(messages, options or GenerationOptions(max_tokens=MAX_TOKENS))

    def __iter__(self) -> ComparisonStream:
        return self

    def __next__(self) -> str:
        return next(self._reply)

    @property
    def comparison(self) -> Comparison:
        """Return the comparison written so far; whole once the iteration has ended."""
        reply = self._reply.reply
        sections, _ = parse_report(reply.text)
        case = self.current
        laterality = case.header.image_laterality or case.header.laterality
        facts = Facts(case.kind, case.body_part, laterality, case.spacing, has_prior=True)
        failed = check_draft(sections, facts)
        warnings = [*self.warnings, *(each.message for each in failed)]
        if reply.finish_reason != "stop":
            warnings.append(f"the comparison was cut at {reply.usage.completion_tokens} tokens and is not complete")
        return Comparison(
            model=self._model.name,
            prior=self.prior.source,
            current=case.source,
            days=_days(self.prior, case),
            text=reply.text,
            warnings=tuple(dict.fromkeys(warnings)),
            checks=failed,
            forced=FORCED in self.warnings,
            caution=not_for_patients(self._model.spec),
        )


def compare(
    model: Backend,
    one: Case | Film | str | Path,
    other: Case | Film | str | Path,
    *,
    kind: Kind | None = None,
    force: bool = False,
    options: GenerationOptions | None = None,
) -> Comparison:
    """Compare two images. Arguments and errors as for `ComparisonStream`, which gives the text as it is made."""
    stream = ComparisonStream(model, one, other, kind=kind, force=force, options=options)
    for _ in stream:
        pass
    return stream.comparison


def _in_order(first: Case, second: Case) -> tuple[Case, Case, list[str]]:
    a, b = first.header.moment, second.header.moment
    if not a or not b:
        return first, second, ["a file has no date: the images are taken in the order in which they were given"]
    shared = min(len(a), len(b))  # a day without a time of day cannot tell two films of that day apart
    if a[:shared] == b[:shared]:
        return first, second, ["both images are of the same time: they are taken in the order in which they were given"]
    return (first, second, []) if a[:shared] < b[:shared] else (second, first, [])


def _days(prior: Case, current: Case) -> int | None:
    try:
        one, other = (date.fromisoformat(each.header.moment[:8]) for each in (prior, current))
    except ValueError:
        return None
    return (other - one).days
