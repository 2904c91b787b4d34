"""The backend on this machine: a checkpoint's tokenizer, prompts and network behind one face."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, NamedTuple

from aris.backends.constraints.masks import GrammarCompiler
from aris.backends.memory import memory_errors
from aris.backends.protocol import GenerationOptions, Relevance, Reply, TokenLogprob
from aris.backends.streaming import NativeStream
from aris.checkpoints.registry import ModelSpec
from aris.engine import ContextLengthError, Engine, EngineLimits, ImageInput, Prefix, Request, SamplingParams
from aris.engine import Sequence as Sequenced
from aris.engine.scheduler import Proposer
from aris.errors import CheckpointError, ModelError, PromptError
from aris.model import AdapterBank, MedGemma
from aris.model.relevance import METHOD, Target, patch_relevance
from aris.prompting import ImageProcessor, Message, Prompt, PromptProcessor, Text, Tokenizer, with_thinking
from aris.prompting.chat import neutralize
from aris.prompting.messages import images_of


class PromptToken(NamedTuple):
    """Token of a prompt, its natural log-probability after those before it, and the most probable tokens there."""

    token_id: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


class NativeBackend:
    """Runs a model in this process. Made by `aris.load`.

    Prompts that begin alike share what was read: findings, gate and draft of one film encode it once and read it once.
    The last images' keys and values stay in memory for that (see `forget_images`).

    Several streams may be read at once, by several threads too; they are computed side by side. Each is moved on by
    whoever reads any of them, or by the engine's own thread after `engine.start()`.

    Attributes:
        name, spec, calibration, changes, reads_images: as in `protocol.Backend`.
        model, engine, tokenizer, prompts: its parts.
        load_s: seconds that loading took, 0 if the parts were given.
        adapter: the one that this backend uses where nothing else is asked for (see `with_adapter`); None for none.
    """

    def __init__(
        self,
        name: str,
        model: MedGemma,
        tokenizer: Tokenizer,
        image_processor: ImageProcessor | None,
        *,
        spec: ModelSpec | None = None,
        calibration: Mapping[str, Any] | None = None,
        changes: str = "",
        load_s: float = 0.0,
        limits: EngineLimits | None = None,
        proposer: Proposer | None = None,
        adapters: AdapterBank | None = None,
    ) -> None:
        """Put a backend together of its parts.

        Args:
            name: of the model, for results.
            model: in eval mode.
            tokenizer: the model's.
            image_processor: the model's; None for a model without a vision tower.
            spec, calibration: what the model declares of itself, if anything.
            changes: what was done to its weights, see `changes` of `protocol.Backend`.
            load_s: seconds that loading took.
            limits: what the engine may take.
            proposer: proposes draft tokens (see `engine.speculation`).
            adapters: beside the model, for requests to choose from.
        """
        self.name = name
        self.model = model
        self.engine = Engine(model, limits, proposer=proposer, adapters=adapters)
        self.adapter: str | None = None
        self._unbound: NativeBackend | None = None
        self.tokenizer = tokenizer
        self.spec = spec
        self.calibration: Mapping[str, Any] = calibration or {}
        self.changes = changes
        self.reads_images = model.config.vision is not None and image_processor is not None
        if self.reads_images and tokenizer.image_token_id != model.config.image_token_index:
            raise CheckpointError(
                f"{name}: the tokenizer's image token is {tokenizer.image_token_id}, the configuration's "
                f"{model.config.image_token_index}; use the checkpoint's own files"
            )
        self.prompts = PromptProcessor(
            tokenizer, image_processor if self.reads_images else None, model.config.mm_tokens_per_image
        )
        self.load_s = load_s
        self._grammars = GrammarCompiler(tokenizer, model.config.eos_token_ids)

    def __repr__(self) -> str:
        return f"NativeBackend({self.name!r}, {self.model.dtype}, {self.model.device})"

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of the adapters that requests may ask for."""
        return () if self.engine.adapters is None else self.engine.adapters.names

    def with_adapter(self, adapter: str | None) -> NativeBackend:
        """Bind this backend to one of its adapters, or to none: for tasks and scores. Engine and weights are shared.

        What was calibrated for the model as it is holds no more, so `calibration` is empty.

        Raises:
            ModelError: there is no such adapter.
        """
        (self.engine.adapters or AdapterBank()).require(adapter)
        base = self._unbound or self
        if adapter is None:
            return base
        bound = copy(base)
        bound.name, bound.adapter, bound.calibration, bound._unbound = f"{base.name}+{adapter}", adapter, {}, base
        return bound

    def stream(
        self, messages: Sequence[Message], options: GenerationOptions | None = None, *, reasoning: bool = False
    ) -> NativeStream:
        """Generate; pieces of text come as they are made (see `protocol.Backend.stream`).

        The request is queued at once: what is wrong with it, and an engine that is busy, is raised here. Closing the
        stream, or dropping it, frees what it holds.
        """
        return self.streams(messages, options, 1, reasoning=reasoning)[0]

    def streams(
        self,
        messages: Sequence[Message],
        options: GenerationOptions | None = None,
        count: int = 1,
        *,
        reasoning: bool = False,
    ) -> list[NativeStream]:
        """Several replies to one conversation, which is read once. With a seed, the i-th's is `seed + i`."""
        options = options or GenerationOptions()
        started = time.perf_counter()
        if options.thinking:
            if self.spec is None or not self.spec.thinking:
                raise ModelError(f"{self.name}: this model was not trained to think first; leave thinking out")
            messages = with_thinking(messages)
        prompt = self._prompt(messages, options.pan_and_scan, options.continue_final_message)
        return self.continue_prompt(prompt, options, count, reasoning=reasoning, started=started)

    def continue_prompt(
        self,
        prompt: Prompt,
        options: GenerationOptions,
        count: int = 1,
        *,
        reasoning: bool = False,
        started: float | None = None,
        raw: bool = False,
    ) -> list[NativeStream]:
        """Several replies to a prompt as it stands.

        Args:
            prompt, options, count: as they are.
            reasoning: as for `streams`.
            started: when the caller was asked (`time.perf_counter`).
            raw: reasoning is not told from the answer: all text is the answer, their markers too.
        """
        started = time.perf_counter() if started is None else started
        images = _images(prompt)
        requests = []
        params = self._params(options)
        for index in range(count):
            if options.seed is not None:
                params = replace(params, seed=options.seed + index)
            mask = None if options.grammar is None else self._grammars.mask(options.grammar, thinking=options.thinking)
            requests.append(Request(
                prompt.token_ids, images, params, mask=mask, keep=self._end_of_images(prompt),
                adapter=options.adapter or self.adapter,
            ))  # fmt: skip
        with memory_errors(self.model.device):
            sequences = self.engine.submit_all(requests)
        return [
            NativeStream(
                prompt,
                sequence,
                options,
                tokenizer=self.tokenizer,
                device=self.model.device,
                reasoning=reasoning,
                started=started,
                raw=raw,
            )
            for sequence in sequences
        ]

    def _params(self, options: GenerationOptions) -> SamplingParams:
        """Translate options to the engine's sampling parameters, but for the seed."""
        own = () if options.ignore_eos else self.model.config.eos_token_ids
        words = [ids for word in options.bad_words for ids in self._bad_word(word)]
        return SamplingParams(
            max_tokens=options.max_tokens,
            temperature=options.temperature,
            top_k=options.top_k,
            top_p=options.top_p,
            min_p=options.min_p,
            stop_token_ids=tuple(dict.fromkeys((*own, *options.stop_token_ids))),
            logprobs=options.top_logprobs is not None,
            top_logprobs=options.top_logprobs or 0,
            repetition_penalty=options.repetition_penalty,
            presence_penalty=options.presence_penalty,
            frequency_penalty=options.frequency_penalty,
            min_tokens=options.min_tokens,
            logit_bias=tuple(options.logit_bias.items()),
            bad_words=tuple(dict.fromkeys(words)),
        )

    def _bad_word(self, word: str) -> list[tuple[int, ...]]:
        """Token ids of a word as it stands at the start of a text and after a space."""
        spelt = word.strip()
        return [tuple(self.tokenizer.encode(neutralize(form))) for form in (spelt, f" {spelt}")]

    def generate(self, messages: Sequence[Message], options: GenerationOptions | None = None) -> Reply:
        """The whole reply at once (see `protocol.Backend.generate`)."""
        stream = self.stream(messages, options)
        for _ in stream:
            pass
        return stream.reply

    def prompt_logprobs(
        self, prompt: Prompt, top: int = 0, start: int = 1, *, submitted: Callable[[Sequenced], None] = lambda _: None
    ) -> list[PromptToken]:
        """Compute the log-probability of each token of a prompt, given those before it.

        Args:
            prompt: as it stands.
            top: how many of the most probable tokens to report at each position.
            start: tokens before this one get none, nor does the first, nor do images and what stands before them:
                what is not asked for need not be computed again if it was read for an earlier prompt.
            submitted: is given what reads the prompt, for whoever may want to cancel it.
        """
        ids = prompt.token_ids
        images = _images(prompt)
        if images:
            start = max(start, _last(ids, self.tokenizer.image_token_id) + 1)
        start = min(max(start, 1), len(ids))
        out = [PromptToken(token) for token in ids[:start]]
        if start < len(ids):
            with memory_errors(self.model.device):
                steps = self.engine.prompt_logprobs(
                    ids, top, images=images, start=start, adapter=self.adapter, submitted=submitted
                )
            out += [PromptToken(step.token_id, step.logprob, step.top_logprobs) for step in steps]
        return out

    def score(self, messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
        """Log-probabilities of given answers (see `protocol.Backend.score`)."""
        answers = [self._choice_ids(choice) for choice in choices]
        if not answers:
            raise PromptError("score: no choices; give at least one")
        prompt = self._prompt(messages, None)
        images = _images(prompt)
        with memory_errors(self.model.device):
            self._read_images(prompt, images)
            return self.engine.score(prompt.token_ids, images, answers, adapter=self.adapter)

    def score_many(
        self, messages: Sequence[Message], questions: Sequence[tuple[str, Sequence[str]]]
    ) -> list[list[float]]:
        """Score several questions on one prefix (see `protocol.Backend.score_many`).

        The prefix is prefilled once, and all questions are then computed side by side.
        """
        if not messages or messages[-1].role != "user":
            raise PromptError("score_many: the conversation must end with a user's turn, which the questions close")
        if not questions:
            return []
        *earlier, turn = messages
        views = self.prompts.views(messages)
        prompts = []
        answers = []
        for question, choices in questions:
            if not choices:
                raise PromptError("score_many: a question has no choices; give at least one")
            asked = [*earlier, replace(turn, content=(*turn.content, Text(question)))]
            prompts.append(self.prompts(asked, views=views))
            answers.append([self._choice_ids(choice) for choice in choices])
        # What all begin with; each has a token of its own at least, after which its answers are scored.
        shared = _shared([prompt.token_ids[:-1] for prompt in prompts])
        prefix = Prefix(tuple(prompts[0].token_ids[:shared]), _images(prompts[0]), self.adapter)
        with memory_errors(self.model.device):
            self._read_images(prompts[0], prefix.images)
            rest = [prompt.token_ids[shared:] for prompt in prompts]
            return self.engine.score_many(prefix, list(zip(rest, answers, strict=True)))

    def token_logprobs(self, messages: Sequence[Message], answer: str) -> tuple[TokenLogprob, ...]:
        """Log-probabilities of a given answer's tokens (see `protocol.WhiteBox.token_logprobs`).

        One pass over the answer, after what is kept of the prompt: far cheaper than asking for them while it is made.
        """
        if not answer:
            return ()
        prompt = self._prompt(messages, None)
        start = len(prompt.token_ids)
        whole = replace(prompt, token_ids=[*prompt.token_ids, *self.tokenizer.encode(neutralize(answer))])
        name = self.tokenizer.id_to_token
        read = self.prompt_logprobs(whole, start=start)[start:]
        return tuple(TokenLogprob(name(token.token_id) or "", float(token.logprob or 0.0)) for token in read)

    def relevance(
        self, messages: Sequence[Message], wanted: str, *, before: str = "", against: str | None = None
    ) -> Relevance:
        """Map the relevance of a conversation's images to a text (see `protocol.WhiteBox.relevance`).

        The network is differentiated in float32 whatever its weights are stored in. It takes about as long as reading
        the prompt three times, and nothing of the engine's memory.
        """
        processor = self.prompts.image_processor
        if processor is None:
            raise ModelError(f"{self.name}: this model reads no images, so there is nothing to point at")
        if self.adapter is not None:
            raise ModelError(f"{self.name}: an adapter that takes turns cannot be looked into; load it with `adapter`")
        prompt = self._prompt(messages, None)
        if prompt.pixel_values is None:
            raise PromptError("relevance: the conversation has no image")
        earlier = self.tokenizer.encode(neutralize(before)) if before else []
        if against is not None:
            words: list[tuple[int, int | None]] = [(self._choice_ids(wanted)[0], self._choice_ids(against)[0])]
            rest = earlier
        else:
            if not wanted.strip():
                raise PromptError("relevance: the text is empty; give words of the answer")
            rest = self.tokenizer.encode(neutralize(before + wanted))
            # Where the words meet in a token it belongs to what is explained.
            earlier = rest[: min(_shared([earlier, rest]), len(rest) - 1)]
            words = [(token, None) for token in rest[len(earlier) :]]
        start = len(prompt.token_ids) + len(earlier) - 1
        with memory_errors(self.model.device):
            grids, score = patch_relevance(
                self.model,
                prompt.pixel_values,
                [*prompt.token_ids, *rest],
                [Target(start + position, token, other) for position, (token, other) in enumerate(words)],
            )
        frames = [processor.frames(image) for image in images_of(messages)]
        return Relevance(
            grids=tuple(grids.cpu().numpy()),
            frames=tuple(frame for each in frames for frame in each),
            images=tuple(index for index, each in enumerate(frames) for _ in each),
            score=score,
            method=METHOD,
        )

    def forget_images(self) -> None:
        """Free what is kept of images and prompts."""
        self.engine.forget()

    def _read_images(self, prompt: Prompt, images: tuple[ImageInput, ...]) -> None:
        """Read a prompt up to the end of its last image, and keep that, unless it is kept already."""
        for end in self._end_of_images(prompt):
            self.engine.prefill(prompt.token_ids[:end], images, adapter=self.adapter)

    def _end_of_images(self, prompt: Prompt) -> tuple[int, ...]:
        """Length of the prompt up to the end of its last image, as what is worth keeping of it."""
        if prompt.pixel_values is None:
            return ()
        return (_last(prompt.token_ids, self.tokenizer.end_of_image_id) + 1,)

    def _prompt(
        self, messages: Sequence[Message], pan_and_scan: bool | None, continue_final_message: bool = False
    ) -> Prompt:
        if not continue_final_message and (not messages or messages[-1].role != "user"):
            raise PromptError("conversation: it must end with a user's turn for the model to answer")
        texts = [part.text for message in messages for part in message.content if isinstance(part, Text)]
        self.require_length(sum(len(text.strip()) for text in texts))
        return self.prompts(messages, pan_and_scan=pan_and_scan, continue_final_message=continue_final_message)

    def require_length(self, characters: int) -> None:
        """Refuse a text that has too many tokens however it falls into them: before minutes and gigabytes go into that.

        Raises:
            ContextLengthError: it has.
        """
        most = self.engine.max_tokens
        if characters > most and characters > most * self.tokenizer.longest_token:
            raise ContextLengthError(
                f"the prompt has {characters:,} characters, too many for the {most:,} tokens that are read at most; "
                "send less text"
            )

    def _choice_ids(self, choice: str) -> list[int]:
        """Token ids of an answer as the model would write it after the opening of its turn."""
        if not choice.strip() or choice != choice.lstrip():
            raise PromptError(f"score: the choice {choice!r:.60} is empty or begins with white space; trim it")
        # The turn opens with a newline, which merges with nothing but newlines: the choice tokenises on its own.
        return self.tokenizer.encode(neutralize(choice))


def _images(prompt: Prompt) -> tuple[ImageInput, ...]:
    return () if prompt.pixel_values is None else ImageInput.from_pixels(prompt.pixel_values)


def _shared(lists: Sequence[list[int]]) -> int:
    """Return the length of the prefix that all have in common."""
    shortest, longest = min(lists), max(lists)  # what these two share, all share
    return next((at for at, token in enumerate(shortest) if longest[at : at + 1] != [token]), len(shortest))


def _last(ids: Sequence[int], wanted: int) -> int:
    """Index of the last occurrence."""
    return len(ids) - 1 - list(reversed(ids)).index(wanted)
