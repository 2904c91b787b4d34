"""A draft report of one examination: gate and findings first, then the text as the model writes it, then the checks.

For a model that declares calibrated findings the prompt carries what they say, and the text is held to it: the
probability is what has been validated, not the words. What is outside the model's scope gets no words at all.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from aris.backends import Backend, GenerationOptions, ReplyStream, WhiteBox
from aris.errors import ArisError, PromptError
from aris.imaging import Film
from aris.prompting import Message
from aris.tasks.calibration.answers import Calibration
from aris.tasks.cases import Case, as_case, film_case
from aris.tasks.checks import Facts, check_draft, priority
from aris.tasks.draft_prompts import draft_messages, with_note
from aris.tasks.evidence_maps.maps import draft_evidence, may_show, require_one_image, require_white_box
from aris.tasks.findings import Assessment, assess, require_images
from aris.tasks.results import Confidence, Draft, Evidence, FailedCheck, FilmFindings, ScoredFinding, Sections
from aris.tasks.scope import FORCED, Kind, evidence_warning, not_for_patients, refusal
from aris.tasks.text.confidence import MARK_BELOW, METHOD, NOT_GIVEN, sentence_confidence
from aris.tasks.text.report import parse_report

# MedGemma's card gives reports up to 2,000 tokens; aris-nano's are two short paragraphs.
MAX_TOKENS, MAX_TOKENS_SCORED = 2000, 256
NO_TEXT = "no report text was written: the film is outside the model's scope"
NOT_STATED = "Not stated."
NO_PRIOR = "No prior image was given."


class DraftStream(Iterator[str]):
    """A draft while it is written. Gate and findings are done when this is made; iterate for the text.

    Attributes:
        case: what is described; film: where it is a film, else None.
        assessment: gate and findings, before any text.
    """

    def __init__(
        self,
        model: Backend,
        film: Case | Film | str | Path,
        *,
        kind: Kind | None = None,
        force: bool = False,
        options: GenerationOptions | None = None,
        max_tokens: int | None = None,
        calibration: Calibration | None = None,
        evidence: bool = False,
        note: str = "",
    ) -> None:
        """Begin a draft.

        Args:
            model: reads images and scores answers.
            film: the film or another examination, or its path: of a film, image, slide, series or archive.
            kind: of image, in place of what the file says.
            force: write a text though the film is outside the scope. The draft is marked.
            options: how to generate; greedy by default.
            max_tokens: of the text; by default 256 for a model with scored findings, else 2,000.
            calibration: a site's own, of a chest film's findings.
            evidence: make maps of where findings came from, when the text has ended (see `tasks.evidence`).
            note: of a reader, for the model to know; one line of at most 300 characters, given as data. A model that
                was trained on its own prompts alone gets none, with a warning.

        Raises:
            PromptError: the note is no such line.
            ImageError: the file cannot be read, or holds several examinations; or evidence of several images.
            ModelError: the model reads no images; or evidence of one at an endpoint.
        """
        clock = time.perf_counter
        self._started = clock()
        self.case = as_case(film, kind, model.spec)
        self.film = self.case.film
        if evidence:
            require_white_box(model)
            require_one_image(self.case)
        read = clock()
        assessed = self._assessed(model, force, calibration)
        self.assessment: FilmFindings = assessed.result
        self._timings: dict[str, float | None] = {"read_s": read - self._started, "findings_s": clock() - read}
        self._model, self._force = model, force
        self._words = assessed.words
        self._reply: ReplyStream | None = None
        self._confidence: Confidence | None = None
        self._evidence: tuple[Evidence, ...] | None = () if evidence else None
        self._said: tuple[str, ...] = ()
        if assessed.in_scope or force:
            limit = max_tokens or (MAX_TOKENS_SCORED if assessed.words else MAX_TOKENS)
            options = replace(options or GenerationOptions(), max_tokens=limit)
            self._messages = draft_messages(model, self.case, assessed.words)
            if note:
                self._messages, said = with_note(model, self._messages, note)
                self._said += said
            # A model on this machine is asked when the text has ended, which is cheaper; an endpoint as it goes.
            self._options = options
            self._asks = options.top_logprobs is None and not isinstance(model, WhiteBox)
            self._reply = model.stream(self._messages, replace(options, top_logprobs=0) if self._asks else options)
        self._total_s = clock() - self._started

    def _assessed(self, model: Backend, force: bool, calibration: Calibration | None) -> Assessment:
        """Gate, findings and scope of a chest film; the scope alone of all else."""
        case = self.case
        if case.kind == "chest film" and case.film is not None:
            assessed = assess(model, case.film, force=force, task="draft", calibration=calibration)
            extra = evidence_warning(model, "draft", "chest film") if model.spec is not None else None
        else:
            require_images(model)
            reason = refusal(model, "draft", case.kind)
            warnings = list(case.warnings)
            if reason is not None:
                warnings = [*([FORCED] if force else []), *warnings, reason]
            forced = force and reason is not None
            result = FilmFindings(
                model=model.name, file=case.source, findings=(), warnings=tuple(warnings), forced=forced,
                caution=not_for_patients(model.spec),
            )
            assessed = Assessment(result, (), reason is None)
            extra = evidence_warning(model, "draft", case.kind)
        if extra is None:
            return assessed
        warned = assessed.result.model_copy(update={"warnings": (*assessed.result.warnings, extra)})
        return replace(assessed, result=warned)

    def __iter__(self) -> DraftStream:
        return self

    def __next__(self) -> str:
        if self._reply is None:
            raise StopIteration
        try:
            return self._next(self._reply)
        except StopIteration:
            if self._confidence is None:
                self._look_back(self._reply.reply.text)
            raise
        finally:
            self._total_s = time.perf_counter() - self._started

    def close(self) -> None:
        """Stop writing and free what that took."""
        if self._reply is not None:
            self._reply.close()

    def _next(self, reply: ReplyStream) -> str:
        try:
            return next(reply)
        except PromptError:
            # An endpoint may refuse to be asked for log-probabilities; the same prompt without them is asked once.
            if not self._asks or reply.reply.text:
                raise
            self._asks = False
            self._reply = self._model.stream(self._messages, self._options)
            return next(self._reply)

    def _look_back(self, text: str) -> None:
        """Assess a finished text: how sure the model was of it, and its evidence on the image."""
        assert self._reply is not None
        clock = time.perf_counter
        began = clock()
        logprobs = self._reply.reply.logprobs
        sections = parse_report(text)[0]
        note = ""
        try:
            if not logprobs and isinstance(self._model, WhiteBox):
                logprobs = self._model.token_logprobs(self._messages, text)
            elif not logprobs and text.strip():
                note = NOT_GIVEN
        except ArisError as error:  # the text is worth more than what is known of it
            note = f"not given: {error}"
        told = sentence_confidence(text, sections, logprobs or ())
        self._confidence = Confidence(method=METHOD, mark_below=MARK_BELOW, sentences=told, note=note)
        self._timings["confidence_s"] = clock() - began
        if self._evidence is not None:
            began = clock()
            allowed, self._said = may_show(self._model, self.case.kind, force=self._force)
            forced = self.assessment.forced or FORCED in self._said
            try:
                if allowed:
                    self._evidence = draft_evidence(
                        self._model, self.case, self.assessment.findings, self._words, text, sections, forced=forced
                    )
            except ArisError as error:
                self._said += (f"no evidence maps: {error}",)
            self._timings["evidence_s"] = clock() - began

    @property
    def draft(self) -> Draft:
        """The draft of what has been written so far; whole once the iteration has ended."""
        reply = None if self._reply is None else self._reply.reply
        text = "" if reply is None else reply.text
        sections, wrong = parse_report(text)
        said = f"{sections.findings}\n{sections.impression}"
        warnings = list(self.assessment.warnings)
        failed: tuple[FailedCheck, ...] = ()
        if reply is None:
            warnings.append(NO_TEXT)
        else:
            if reply.finish_reason == "length":
                warnings.append(f"the draft was cut at {reply.usage.completion_tokens} tokens and is not complete")
            elif reply.finish_reason == "aborted":
                warnings.append("the draft was stopped and is not complete")
            failed = check_draft(sections, self.facts)
            warnings += [*wrong, *(each.message for each in failed)]
            sections = self._with_header(sections)
        warnings += [*self._said, *(warning for each in self._evidence or () for warning in each.warnings)]
        timings = dict(self._timings)
        if reply is not None:
            timings |= {name: value for name, value in asdict(reply.timings).items() if name != "total_s"}
        timings["total_s"] = self._total_s
        return Draft(
            model=self._model.name,
            file=self.assessment.file,
            sections=sections,
            findings=tuple(
                ScoredFinding(name=f.name, probability=f.probability, present=f.present, note=f.note)
                for f in self.assessment.findings
            ),
            warnings=tuple(dict.fromkeys(warnings)),
            kind=self.case.kind,
            priority=priority(self.assessment.findings, "" if reply is None else said),
            checks=failed,
            evidence=self._evidence,
            confidence=self._confidence,
            instances=self.case.instances,
            timings={name: None if value is None else round(value, 4) for name, value in timings.items()},
            forced=self.assessment.forced,
            caution=not_for_patients(self._model.spec),
            text=text,
            assessment=self.assessment,
            complete=reply is None or reply.finish_reason == "stop",
        )

    @property
    def facts(self) -> Facts:
        """Return the facts that the checks go by."""
        case = self.case
        shown = [each for each in self._evidence or () if each.regions]
        return Facts(
            kind=case.kind,
            body_part=case.body_part,
            laterality=case.header.image_laterality or case.header.laterality,
            spacing=case.spacing,
            words=self._words,
            header_text="\n".join((case.header.examination, case.header.indication, case.header.technique)),
            regions=[each.regions[0] for each in shown],
            # Evidence on both sides speaks against neither.
            sides=[each.sides[0] if len(set(each.sides)) == 1 else "midline" for each in shown],
        )

    def _with_header(self, sections: Sections) -> Sections:
        """The sections that headers and the order fill; what they do not say is said to be missing."""
        header = self.case.header
        return sections.model_copy(
            update={
                "examination": header.examination or NOT_STATED,
                "indication": header.indication or NOT_STATED,
                "technique": header.technique or NOT_STATED,
                "comparison": NO_PRIOR,
            }
        )


def draft(
    model: Backend,
    film: Case | Film | str | Path,
    *,
    kind: Kind | None = None,
    force: bool = False,
    options: GenerationOptions | None = None,
    max_tokens: int | None = None,
    calibration: Calibration | None = None,
    evidence: bool = False,
) -> Draft:
    """Draft a report of one examination; arguments and errors as for `DraftStream`, which gives its text as made."""
    stream = DraftStream(
        model, film, kind=kind, force=force, options=options, max_tokens=max_tokens, calibration=calibration,
        evidence=evidence,
    )  # fmt: skip
    for _ in stream:
        pass
    return stream.draft


def draft_prompt(model: Backend, film: Film, words: Sequence[tuple[str, str]]) -> list[Message]:
    """The prompt for a draft of a film; `words` are scored findings, for a model that was trained on them."""
    return draft_messages(model, film_case(film, "chest film"), words)
