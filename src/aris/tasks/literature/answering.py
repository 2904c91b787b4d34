"""An answer from a library: passages are found, sentences chosen and written, each one checked before it is shown.

The answer opens with the passage's own words that fit the question best, so that the first words do not wait for a
model. What the model writes then comes a sentence at a time, each once it has passed: its numbers, entities, direction
and words must stand in a passage, and the model itself must find that the passage supports it. A sentence that fails is
left out, and other verbatim sentences take its place. Text of papers is data: nothing in it is followed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

from aris.backends import Backend, GenerationOptions
from aris.errors import LiteratureError
from aris.literature.citations import vancouver
from aris.literature.library import Library
from aris.literature.passages import sentence_spans
from aris.literature.retrieval import Filters, Hit, search
from aris.prompting import user
from aris.tasks.checks.injected import instruction_in
from aris.tasks.literature.conflicts import find_conflicts
from aris.tasks.literature.orders import without_orders
from aris.tasks.literature.prompts import answer_prompt, relevance_prompt, support_prompt
from aris.tasks.literature.results import (
    AnswerSentence,
    EvidenceRow,
    LiteratureAnswer,
    PassageReference,
    RemovedSentence,
)
from aris.tasks.literature.selecting import Candidate, Weights, candidates, choose, enough, sufficiency
from aris.tasks.literature.support import check_written, stems
from aris.tasks.scope import not_for_patients

CAUTION = "Drawn from the papers of this library alone. A clinician must read the passages before any use."
_HITS = 10
_EXTRACTS = 4
_MOST_SENTENCES = 4
_MOST_TOKENS = 128
# The least probability that the model gives to "Yes", by model; None: it is not asked. benchmarks/literature_support.py
# measures what a model's score is worth; nano's has not been measured, and so it decides nothing.
ENTAILMENT: Mapping[str, float | None] = {"aris-nano": None}
_ENTAILMENT = 0.5
_MARK = re.compile(r"\s*\[(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\]")


class LiteratureStream(Iterator[str]):
    """An answer while it is made; iterate for its text, a sentence with its references at a time.

    Attributes:
        hits: the passages that were found; retracted papers are not among them.
        warnings: what a reader must know.
    """

    def __init__(
        self,
        library: Library,
        question: str,
        model: Backend | Callable[[], Backend] | None = None,
        *,
        filters: Filters | None = None,
        rerank: bool = False,
        max_tokens: int = _MOST_TOKENS,
    ) -> None:
        """Find passages and judge whether they are enough.

        Args:
            library: to answer from.
            question: any text.
            model: writes; a function that loads it when the first words are out; None for the passages' words alone.
            filters: which papers may support; retracted ones never do.
            rerank: let the model rank the passages again by its own scores, which takes a while.
            max_tokens: of what the model writes.

        Raises:
            LiteratureError: the question is empty.
        """
        filters = filters or Filters()
        self.library, self.question = library, question
        self._model, self._max_tokens = model, max_tokens
        self._backend: Backend | None = None
        scorer = self._relevance if rerank and model is not None else None
        filters = Filters(filters.since, filters.until, filters.types, filters.journal, retracted=False)
        self.hits = search(library, question, count=_HITS, filters=filters, per_paper=3, scorer=scorer)
        self._weights = Weights(library, question)
        self.sufficiency, self.threshold = sufficiency(self._weights, self.hits), enough(self.hits)
        self.warnings: list[str] = []
        self._candidates: list[Candidate] = []
        self.answered = bool(self.hits) and self.sufficiency >= self.threshold
        if self.answered:
            self._candidates, orders = candidates(library, question, self._weights, self.hits)
            self.answered = bool(self._candidates)
            if orders:
                self.warnings.append(
                    f"{orders} sentences of the passages read like orders to a program; they were left out"
                )
        if any(hit.paper.retraction == "concern" for hit in self.hits):
            self.warnings.append("an expression of concern was published about at least one of the papers")
        if self.hits and all(hit.paper.retraction == "unknown" for hit in self.hits):
            self.warnings.append("whether these papers were retracted is not known; import a list of retractions")
        if library.without_vectors:
            self.warnings.append(f"searched by words alone: {library.without_vectors}")
        self._sentences: list[AnswerSentence] = []
        self._removed: list[RemovedSentence] = []
        self._numbers: dict[int, int] = {}  # place of the hit -> its number in the answer
        self._made = self._make()

    def __iter__(self) -> LiteratureStream:
        return self

    def __next__(self) -> str:
        return next(self._made)

    def close(self) -> None:
        """Stop."""
        self._made.close()

    # Making

    def _make(self) -> Generator[str, None, None]:
        if not self.answered:
            return
        lead = choose(self._candidates, 1)
        for each in lead:
            yield self._say_verbatim(each)
        if self._model is not None:
            yield from self._written()
        short = 2 if any(each.kind == "model" for each in self._sentences) else 3
        for each in choose(self._candidates, _MOST_SENTENCES):
            if len(self._sentences) >= short:
                break
            if not self._said(each.text):
                yield self._say_verbatim(each)

    def _say_verbatim(self, each: Candidate) -> str:
        sentence = AnswerSentence(
            text=each.text, kind="verbatim", references=(self._number(each.hit),), coverage=1.0, entailment=None
        )
        return self._say(sentence)

    def _say(self, sentence: AnswerSentence) -> str:
        space = " " if self._sentences else ""
        self._sentences.append(sentence)
        return f"{space}{sentence.text} {''.join(f'[{number}]' for number in sentence.references)}"

    def _number(self, index: int) -> int:
        return self._numbers.setdefault(index, len(self._numbers) + 1)

    def _said(self, text: str) -> bool:
        told = stems(text)
        return any(len(told & stems(each.text)) >= 0.8 * max(1, len(told)) for each in self._sentences)

    def _written(self) -> Iterator[str]:
        """Yield what the model writes, a sentence at a time, each that passes."""
        backend = self._load()
        extracts = self._extracts()
        prompt = answer_prompt(self.question, [(number, text) for number, (_, text) in enumerate(extracts, 1)])
        options = GenerationOptions(max_tokens=self._max_tokens)
        stream = backend.stream([user(prompt)], options)
        text, done = "", 0
        for piece in stream:
            text += piece
            # The last one may go on, or its reference may still come.
            for start, end in _sentences(text)[:-1]:
                if start >= done and not text[end:].lstrip().startswith("["):
                    done = end
                    yield from self._judge(text[start:end], extracts)
            if len(self._sentences) >= _MOST_SENTENCES or len(text) > 4000:
                stream.close()
                return
        cut = stream.reply.finish_reason == "length"
        for start, end in _sentences(text):
            if start >= done and not (cut and end == len(text.rstrip()) and text.rstrip()[-1:] not in ".!?]"):
                yield from self._judge(text[start:end], extracts)

    def _extracts(self) -> list[tuple[int, str]]:
        """(place of the hit, its sentences that fit best) for the prompt: short, so that they are read soon."""
        positions: dict[int, list[Candidate]] = {}
        for each in choose(self._candidates, 2 * _EXTRACTS, per_hit=2):
            if each.hit in positions or len(positions) < _EXTRACTS:
                positions.setdefault(each.hit, []).append(each)
        return [
            (index, " ".join(each.text for each in sorted(chosen, key=lambda each: each.start)))
            for index, chosen in positions.items()
        ]

    def _judge(self, written: str, extracts: Sequence[tuple[int, str]]) -> Iterator[str]:
        cited = [int(each) for marks in _MARK.findall(written) for each in re.findall(r"\d+", marks)]
        text = " ".join(_MARK.sub("", written).split()).lstrip("-*•# ")
        text = re.sub(r"\s+([.,;])", r"\1", text)
        if len(text.split()) < 4:
            if text:
                self._removed.append(RemovedSentence(text=text, reason="too short to state anything"))
            return
        if not text.endswith((".", "!", "?")):
            text += "."
        if instruction_in(text):
            self._removed.append(RemovedSentence(text=text, reason="it reads like an order to a program"))
            return
        if text.endswith("?"):
            self._removed.append(RemovedSentence(text=text, reason="it is a question"))
            return
        # The extracts that it names first; a small model names the wrong one as often as not.
        order = [each - 1 for each in cited if 0 < each <= len(extracts)]
        order += [index for index in range(len(extracts)) if index not in order]
        reason = ""
        for index in order:
            hit = extracts[index][0]
            passage = without_orders(self.hits[hit].passage.text)
            found = check_written(text, passage)
            if found.verdict != "supported" and not _stands_in(text, passage):
                reason = reason or found.reason
                continue
            if self._said(text):
                self._removed.append(RemovedSentence(text=text, reason="the answer says this already"))
                return
            if _stands_in(text, passage):
                yield self._say(
                    AnswerSentence(text=text, kind="verbatim", references=(self._number(hit),), coverage=1.0)
                )
                return
            probability = self._entailment(text, passage)
            if probability is not None and probability < ENTAILMENT.get(self._load().name, _ENTAILMENT):  # type: ignore[operator]
                reason = f"the model itself finds it unsupported ({probability:.2f})"
                continue
            yield self._say(
                AnswerSentence(
                    text=text,
                    kind="model",
                    references=(self._number(hit),),
                    coverage=round(found.coverage, 4),
                    entailment=None if probability is None else round(probability, 4),
                )
            )
            return
        self._removed.append(RemovedSentence(text=text, reason=reason or "no passage supports it"))

    # The model's own scores

    def _load(self) -> Backend:
        if self._backend is None:
            if self._model is None:
                raise LiteratureError("no model was given")
            self._backend = self._model() if callable(self._model) else self._model
        return self._backend

    def _entailment(self, statement: str, passage: str) -> float | None:
        backend = self._load()
        if ENTAILMENT.get(backend.name, _ENTAILMENT) is None:
            return None
        return _yes(backend.score([user(support_prompt(statement, passage))], ("Yes", "No")))

    def _relevance(self, question: str, texts: Sequence[str]) -> list[float]:
        return relevance(self._load(), question, texts)

    # The result

    @property
    def sentences(self) -> tuple[AnswerSentence, ...]:
        """The sentences so far."""
        return tuple(self._sentences)

    @property
    def cited(self) -> tuple[PassageReference, ...]:
        """The passages that the sentences so far refer to, by number."""
        order = sorted(self._numbers.items(), key=lambda each: each[1])
        return tuple(_reference(number, self.hits[index]) for index, number in order)

    @property
    def answer(self) -> LiteratureAnswer:
        """The answer so far; whole once the iteration has ended."""
        sentences = tuple(self._sentences)
        findings = self._findings()
        numbered = [(self._number(index), self.hits[index].paper.id, text) for index, text in findings]
        conflicts = find_conflicts(self.question, numbered) if self.answered else ()
        passages = self.cited
        rows = tuple(
            EvidenceRow(
                number=number, study_type=self.hits[index].paper.study_type, year=self.hits[index].paper.year,
                finding=text, retraction=self.hits[index].paper.retraction,
            )
            for (index, text), (number, _, _) in zip(findings, numbered, strict=True)
        )  # fmt: skip
        verbatim = sum(each.kind == "verbatim" for each in sentences)
        backend = self._backend
        own = not_for_patients(backend.spec) if backend is not None else ""
        return LiteratureAnswer(
            question=self.question,
            answered=self.answered and bool(sentences),
            sentences=sentences,
            verbatim_share=round(verbatim / len(sentences), 4) if sentences else None,
            removed=tuple(self._removed),
            evidence=rows,
            conflicts=conflicts,
            passages=passages,
            references=tuple(each.vancouver for each in passages),
            sufficiency=round(self.sufficiency, 4),
            sufficiency_threshold=self.threshold,
            model=None if backend is None else backend.name,
            mode="lexical" if self.library.without_vectors else "hybrid",
            warnings=tuple(dict.fromkeys(self.warnings)),
            caution=f"{CAUTION} {own}".strip(),
        )

    def _findings(self) -> list[tuple[int, str]]:
        """(place of a hit, the sentence that answers best) for each paper that speaks of the question, best first."""
        if not self.answered:
            return []
        found: dict[int, tuple[int, str]] = {}
        best = self._candidates[0].fit
        for each in self._candidates:
            paper = self.hits[each.hit].paper.id
            if paper not in found and each.fit >= 0.5 * best and len(found) < 6:
                found[paper] = (each.hit, each.text)
        return list(found.values())


def relevance(model: Backend, question: str, texts: Sequence[str]) -> list[float]:
    """The model's own probability, for each text, that it answers the question."""
    return [_yes(model.score([user(relevance_prompt(question, each))], ("Yes", "No"))) for each in texts]


def answer(
    library: Library,
    question: str,
    model: Backend | None = None,
    *,
    filters: Filters | None = None,
    rerank: bool = False,
    max_tokens: int = _MOST_TOKENS,
) -> LiteratureAnswer:
    """Answer a question from a library. Arguments and errors as for `LiteratureStream`, which gives it as made."""
    stream = LiteratureStream(library, question, model, filters=filters, rerank=rerank, max_tokens=max_tokens)
    for _ in stream:
        pass
    return stream.answer


def _sentences(text: str) -> list[tuple[int, int]]:
    """Spans of sentences, each with the references that follow it."""
    # ". [1]" as " [1].": of the same length, so that the positions stay.
    return sentence_spans(re.sub(r"([.!?])(\s*\[\d[\d,; ]*\])(?!\.)", r"\2\1", text))


def _stands_in(text: str, passage: str) -> bool:
    """Return whether a text is a whole sentence of a passage: a part of one may lack its "no evidence that"."""
    return any(text == " ".join(passage[start:end].split()) for start, end in sentence_spans(passage))


def _yes(scores: Sequence[float]) -> float:
    yes, no = scores
    return 1 / (1 + math.exp(min(700.0, no - yes)))


def _reference(number: int, hit: Hit) -> PassageReference:
    passage, paper = hit.passage, hit.paper
    return PassageReference(
        number=number, passage=passage.id, paper=paper.id, section=passage.section, heading=passage.heading,
        page=passage.page, start=passage.start, end=passage.end, text=passage.text, source=paper.source,
        title=paper.title, year=paper.year, pmid=paper.pmid, doi=paper.doi, retraction=paper.retraction,
        vancouver=vancouver(paper),
    )  # fmt: skip
