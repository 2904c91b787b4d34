"""The backend on this machine: a checkpoint's tokenizer, prompts and network behind one face."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from aris.backends.memory import memory_errors
from aris.backends.protocol import GenerationOptions, Reply
from aris.backends.streaming import NativeStream
from aris.checkpoints.registry import ModelSpec
from aris.engine import Engine, Prefix, SamplingParams, Step
from aris.errors import ModelError, PromptError
from aris.model import MedGemma
from aris.prompting import ImageProcessor, Message, Prompt, PromptProcessor, Text, Tokenizer, with_thinking
from aris.prompting.chat import neutralize


@dataclass(frozen=True)
class _Read:
    """Images that were encoded, and the prompt that was read up to the end of the last of them."""

    key: bytes  # of the pixel values
    embeddings: Tensor  # (n, mm_tokens_per_image, width)
    image_s: float
    token_ids: list[int]
    prefix: Prefix


@dataclass(frozen=True)
class Prepared:
    """A prompt, and as much of it as was read before; `token_ids` is the rest, which has no image."""

    prompt: Prompt
    token_ids: list[int]
    prefix: Prefix | None
    image_s: float
    prefill_s: float


class NativeBackend:
    """Runs a model in this process. Made by `aris.load`.

    Prompts on the same images that begin alike share what was read: findings, gate and draft of one film encode it
    once and read it once. The last images' keys and values stay in memory for that (see `forget_images`).

    Attributes:
        name, spec, calibration, reads_images: as in `protocol.Backend`.
        model, engine, tokenizer, prompts: its parts.
        load_s: seconds that loading took, 0 if the parts were given.
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
        load_s: float = 0.0,
    ) -> None:
        """
        Args:
            name: of the model, for results.
            model: in eval mode.
            tokenizer: the model's.
            image_processor: the model's; None for a model without a vision tower.
            spec, calibration: what the model declares of itself, if anything.
            load_s: seconds that loading took.
        """
        self.name = name
        self.model = model
        self.engine = Engine(model)
        self.tokenizer = tokenizer
        self.spec = spec
        self.calibration: Mapping[str, Any] = calibration or {}
        self.reads_images = model.config.vision is not None and image_processor is not None
        self.prompts = PromptProcessor(
            tokenizer, image_processor if self.reads_images else None, model.config.mm_tokens_per_image
        )
        self.load_s = load_s
        self._read: _Read | None = None

    def __repr__(self) -> str:
        return f"NativeBackend({self.name!r}, {self.model.dtype}, {self.model.device})"

    def stream(
        self, messages: Sequence[Message], options: GenerationOptions | None = None, *, thoughts: bool = False
    ) -> NativeStream:
        """Generate; pieces of text come as they are made (see `protocol.Backend.stream`).

        The conversation and the options are checked here, before the first piece is asked for.
        """
        options = options or GenerationOptions()
        started = time.perf_counter()
        if options.thinking:
            if self.spec is None or not self.spec.thinking:
                raise ModelError(f"{self.name}: this model was not trained to think first; leave thinking out")
            messages = with_thinking(messages)
        params = SamplingParams(
            max_tokens=options.max_tokens,
            temperature=options.temperature,
            top_k=options.top_k,
            top_p=options.top_p,
            min_p=options.min_p,
            seed=options.seed,
            stop_token_ids=self.model.config.eos_token_ids,
            top_logprobs=options.top_logprobs or 0,
        )
        prompt = self._prompt(messages, options.pan_and_scan)
        return NativeStream(self, prompt, params, options, thoughts=thoughts, started=started)

    def generate(self, messages: Sequence[Message], options: GenerationOptions | None = None) -> Reply:
        """The whole reply at once (see `protocol.Backend.generate`)."""
        stream = self.stream(messages, options)
        for _ in stream:
            pass
        return stream.reply

    def score(self, messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
        """Log-probabilities of given answers (see `protocol.Backend.score`)."""
        answers = [self._choice_ids(choice) for choice in choices]
        if not answers:
            raise PromptError("score: no choices; give at least one")
        with memory_errors(self.model.device):
            ready = self.prepare(self._prompt(messages, None))
            return self.engine.score(ready.token_ids, None, answers, prefix=ready.prefix)

    def score_many(
        self, messages: Sequence[Message], questions: Sequence[tuple[str, Sequence[str]]]
    ) -> list[list[float]]:
        """Scores of several questions on one beginning (see `protocol.Backend.score_many`)."""
        if not messages or messages[-1].role != "user":
            raise PromptError("score_many: the conversation must end with a user's turn, which the questions close")
        *earlier, turn = messages
        return [
            self.score([*earlier, replace(turn, content=(*turn.content, Text(question)))], choices)
            for question, choices in questions
        ]

    def forget_images(self) -> None:
        """Free what is kept of the last images."""
        self._read = None

    def prepare(self, prompt: Prompt) -> Prepared:
        """Encode a prompt's images and read it up to the end of the last one, or find that done already."""
        if prompt.pixel_values is None:
            return Prepared(prompt, prompt.token_ids, None, 0.0, 0.0)
        end = _last(prompt.token_ids, self.tokenizer.end_of_image_id) + 1
        head, rest = prompt.token_ids[:end], prompt.token_ids[end:]
        pixels = prompt.pixel_values
        key = hashlib.sha256(pixels.contiguous().numpy().tobytes()).digest()
        read = self._read
        prefill_s = 0.0
        if read is None or read.key != key or read.token_ids != head:
            clock = time.perf_counter
            started = clock()
            if read is not None and read.key == key:
                embeddings, image_s = read.embeddings, read.image_s
            else:
                self._read = None  # before the next images take their place in memory
                embeddings = self.engine.encode_images(pixels)
                self._synchronize()
                image_s = clock() - started
            started = clock()
            prefix = self.engine.prefill(head, embeddings)
            self._synchronize()
            prefill_s = clock() - started
            read = self._read = _Read(key, embeddings, image_s, head, prefix)
        return Prepared(prompt, rest, read.prefix, read.image_s, prefill_s)

    def steps(self, ready: Prepared, params: SamplingParams) -> Iterator[Step]:
        """Generate after a prepared prompt."""
        return self.engine.stream(ready.token_ids, None, params, prefix=ready.prefix)

    def _prompt(self, messages: Sequence[Message], pan_and_scan: bool | None) -> Prompt:
        if not messages or messages[-1].role != "user":
            raise PromptError("conversation: it must end with a user's turn for the model to answer")
        return self.prompts(messages, pan_and_scan=pan_and_scan)

    def _choice_ids(self, choice: str) -> list[int]:
        """Token ids of an answer as the model would write it after the opening of its turn."""
        if not choice.strip() or choice != choice.lstrip():
            raise PromptError(f"score: the choice {choice!r:.60} is empty or begins with white space; trim it")
        # The turn opens with a newline, which merges with nothing but newlines: the choice tokenises on its own.
        return self.tokenizer.encode(neutralize(choice))

    def _synchronize(self) -> None:
        """Wait for the device, so that what was timed is done."""
        if self.model.device.type == "cuda":
            import torch

            torch.cuda.synchronize(self.model.device)


def _last(ids: Sequence[int], wanted: int) -> int:
    """Index of the last occurrence."""
    return len(ids) - 1 - list(reversed(ids)).index(wanted)
