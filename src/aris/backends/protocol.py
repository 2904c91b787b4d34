"""The protocol of backends: text as it is generated, and log-probabilities of given answers.

Tasks know this protocol and no engine. `native.NativeBackend` implements it on this machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from aris.backends.constraints.masks import Grammar
from aris.checkpoints.registry import ModelSpec
from aris.errors import ModelError
from aris.prompting import Frame, Message, Segment

FinishReason = Literal["stop", "length", "aborted"]


@dataclass(frozen=True)
class GenerationOptions:
    """Options of a generation.

    Attributes:
        max_tokens: of the reply at most, reasoning included; at least 1.
        temperature: 0 is greedy, the default for clinical tasks.
        top_k, top_p, min_p: truncation while sampling, as in `engine.SamplingParams`.
        seed: makes sampling deterministic.
        stop: the answer ends before the first of these strings; reasoning is not searched.
        thinking: ask the model to think first. Only models that were trained to can.
        top_logprobs: report each token's log-probability, with so many of the most probable ones; None reports none.
        grammar: the form that the answer must have (`Grammar.json_schema`, `.regex`, `.choice`); reasoning is free.
        pan_and_scan: give elongated images crops too; None does as the model's configuration says.
        adapter: which of the adapters beside the model to use; None is the one that the backend is bound to, if any,
            else the model as it is.
        continue_final_message: the conversation ends with the start of the assistant's turn, and the reply goes on
            from there, without repeating it.
        repetition_penalty, presence_penalty, frequency_penalty: on what stands there already, as in
            `engine.SamplingParams`.
        min_tokens: the reply does not end before so many, by the model, a stop token or a stop string.
        stop_token_ids: further tokens that end the reply, and are no part of its text.
        ignore_eos: the model's own end does not end the reply.
        logit_bias: what is added to the scores of tokens, by token id, in [-100, 100].
        bad_words: texts that the reply may not hold.
        include_stop: the stop string or stop token that ended the reply stays in its text.
    """

    max_tokens: int = 512
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    thinking: bool = False
    top_logprobs: int | None = None
    pan_and_scan: bool | None = None
    grammar: Grammar | None = None
    adapter: str | None = None
    continue_final_message: bool = False
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    min_tokens: int = 0
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    bad_words: tuple[str, ...] = ()
    include_stop: bool = False

    def __post_init__(self) -> None:
        if not all(self.stop):
            raise ModelError("stop: an empty string would end every answer at once; leave it out")
        if not all(word.strip() for word in self.bad_words):
            raise ModelError("bad_words: an empty word stands everywhere; leave it out")


@dataclass(frozen=True)
class Usage:
    """Usage of a reply, in tokens; `images` counts images, crops included."""

    prompt_tokens: int
    completion_tokens: int
    images: int


@dataclass(frozen=True)
class Timings:
    """Timings of a reply, in seconds on a monotonic clock.

    Attributes:
        image_s: encoding its images; 0 if what was made of them for an earlier prompt was at hand.
        prefill_s: reading the prompt, without what was kept of an earlier one that began alike.
        first_token_s: from the call to the first token.
        decode_tokens_per_s: after the first token; None if there were fewer than two.
        total_s: from the call to the end.
    """

    image_s: float = 0.0
    prefill_s: float = 0.0
    first_token_s: float = 0.0
    decode_tokens_per_s: float | None = None
    total_s: float = 0.0


@dataclass(frozen=True)
class TokenLogprob:
    """A generated token with its natural log-probability, and the most probable tokens at its position."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, eq=False)
class Relevance:
    """Relevance of positions on images to a model's score (see `model.relevance`).

    Attributes:
        grids: for each view (image or crop) float32 (g, g), one value a patch; positive speaks for what was scored,
            negative against it.
        frames: for each view where it lies on its image; the grid spans the frame's box.
        images: for each view the index of its image in the conversation.
        score: what was explained, in nats.
        method: its name.
    """

    grids: tuple[npt.NDArray[np.float32], ...]
    frames: tuple[Frame, ...]
    images: tuple[int, ...]
    score: float
    method: str


@dataclass(frozen=True)
class Reply:
    """A model's reply.

    Attributes:
        text: the answer, without reasoning.
        thinking: the reasoning, None if there was none.
        finish_reason: "stop" (the model ended it, or a stop string did), "length", or "aborted" (nobody read on).
        usage, timings: what it took.
        logprobs: of each token, reasoning and the model's own end included; None unless asked for.
        stop_reason: the stop string, or the id of the stop token of the caller's, that ended it; None if neither did.
    """

    text: str
    thinking: str | None
    finish_reason: FinishReason
    usage: Usage
    timings: Timings = field(default_factory=Timings)
    logprobs: tuple[TokenLogprob, ...] | None = None
    stop_reason: str | int | None = None


class ReplyStream(Iterator[str], Protocol):
    """A reply while it is made. Iterate over it, or over `segments()`, once."""

    @property
    def reply(self) -> Reply:
        """The reply so far; whole once the iteration has ended."""
        ...

    def segments(self) -> Iterator[Segment]:
        """The pieces with their kind, "reasoning" or "answer"."""
        ...

    def close(self) -> None:
        """Stop generating."""
        ...


class Backend(Protocol):
    """Runs prompts on one model. Not for several threads at once."""

    @property
    def name(self) -> str:
        """The model, as it was asked for."""
        ...

    @property
    def spec(self) -> ModelSpec | None:
        """The registry's entry with the model's declared scope; None for a model that has none."""
        ...

    @property
    def calibration(self) -> Mapping[str, Any]:
        """Contents of the model's `calibration.json`, {} if it has none."""
        ...

    @property
    def changes(self) -> str:
        """Name the changes to the weights of that name, as "int4" or "adapter 0123456789ab"; "" for none.

        Scores of one are not those of another, so what is calibrated on them holds for it alone.
        """
        ...

    @property
    def reads_images(self) -> bool:
        """Return whether the model has a vision tower."""
        ...

    def stream(
        self, messages: Sequence[Message], options: GenerationOptions | None = None, *, reasoning: bool = False
    ) -> ReplyStream:
        """Generate; pieces of text come as they are made.

        Args:
            messages: the conversation; it ends with a user's turn, unless the options say to continue another.
            options: greedy and up to 512 tokens by default.
            reasoning: give the reasoning too, where there is any, as it comes.

        Raises:
            PromptError: the conversation is malformed, or has an image and the model has no tower.
            ModelError: the prompt is too long, or the options are invalid.
        """
        ...

    def generate(self, messages: Sequence[Message], options: GenerationOptions | None = None) -> Reply:
        """The whole reply at once; arguments and errors as for `stream`."""
        ...

    def score(self, messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
        """Compute the natural log-probability of each choice as the start of the answer, its tokens' summed.

        Not normalised by length. Where one choice begins another ("1", "10") its score includes the other's.

        Raises:
            PromptError: as for `stream`; or a choice is empty or begins with white space.
            ModelError: as for `stream`.
        """
        ...

    def score_many(
        self, messages: Sequence[Message], questions: Sequence[tuple[str, Sequence[str]]]
    ) -> list[list[float]]:
        """Score several questions that share a prefix: the images are encoded and read once.

        Args:
            messages: a conversation that ends with a user's turn, which each question closes.
            questions: (question, choices) pairs.

        Returns:
            For each question the scores of its choices, as from `score`.
        """
        ...


@runtime_checkable
class WhiteBox(Protocol):
    """Backend whose network runs in this process, and can be looked into. An endpoint is none."""

    def token_logprobs(self, messages: Sequence[Message], answer: str) -> tuple[TokenLogprob, ...]:
        """The natural log-probability of each token of a given answer, as if the model had written it.

        Raises:
            PromptError, ModelError: as for `Backend.stream`.
        """
        ...

    def relevance(
        self, messages: Sequence[Message], wanted: str, *, before: str = "", against: str | None = None
    ) -> Relevance:
        """Map the relevance of a conversation's images to a text.

        Args:
            messages: the conversation; it ends with a user's turn.
            wanted: the text whose log-probability is explained.
            before: what the answer says before it.
            against: explain the log-odds of `wanted` over this, by the first token of each.

        Raises:
            PromptError: as for `Backend.stream`; or a text is empty.
            ModelError: the model reads no images, or the prompt is too long.
        """
        ...
