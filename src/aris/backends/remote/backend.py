"""The backend at the other end of a URL: any OpenAI-compatible endpoint (ours, vLLM, SGLang, llama.cpp, a gateway).

What such an endpoint may lack is said where it is missed: probabilities of given answers need log-probabilities, and
calibrated findings need a server that tells its calibration, which ours does.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from aris.backends.protocol import GenerationOptions, Reply
from aris.backends.remote.client import RemoteClient
from aris.backends.remote.messages import request_body
from aris.backends.remote.stream import RemoteStream
from aris.checkpoints.registry import ModelSpec, find
from aris.errors import ModelError, PromptError
from aris.prompting import Message, Text, assistant

# OpenAI's limit; vLLM's default is the same.
_TOP = 20


class RemoteBackend:
    """Runs prompts on a model that is served elsewhere. Several streams may be read at once.

    Attributes:
        name: the model, as the endpoint names it.
        spec: the registry's entry of that name, if it has one; its scope then holds for the remote model too.
        calibration: what the endpoint tells of it; {} where it tells nothing.
        reads_images: whether the model has a tower, as far as is known; True where it is not.
        adapter: its name, where it is one that the endpoint serves beside its base; else None.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        api_key: str | None = None,
        *,
        timeout_s: float = 600.0,
        retries: int = 4,
    ) -> None:
        """Ask the endpoint for its models, and choose one.

        Args:
            url: base URL, as in "http://127.0.0.1:8000/v1"; "/v1" is added where the URL has no path.
            model: its name there, which may be that of an adapter; None takes the only one that is no adapter.
            api_key: sent as `Authorization: Bearer KEY`; never in a message.
            timeout_s: longest silence of the endpoint.
            retries: how often a request is sent again after 429, 503 or a refused connection, with growing pauses.

        Raises:
            ModelError: the endpoint cannot be reached, refuses the key, or has no such model.
        """
        self._client = RemoteClient(url, api_key, timeout_s=timeout_s, retries=retries)
        card = _choose(self._client.models(), model, self._client.url)
        self.name = str(card["id"])
        own = card.get("aris")
        own = own if isinstance(own, Mapping) else {}
        declared = own.get("spec")
        self.spec: ModelSpec | None = find(declared if isinstance(declared, str) else self.name)
        calibration = own.get("calibration")
        self.calibration: Mapping[str, Any] = calibration if isinstance(calibration, Mapping) else {}
        changes = own.get("changes")
        self.changes = changes if isinstance(changes, str) else ""
        self._ours = bool(own)
        # An adapter beside the model it was put on: nothing is declared of what it can answer.
        self.adapter: str | None = self.name if card.get("parent") else None
        self._reads_back: bool | None = None  # whether it tells what prompts' tokens were given; not known yet
        reads = own.get("reads_images")
        if isinstance(reads, bool):
            self.reads_images = reads
        else:
            self.reads_images = self.spec is None or self.spec.multimodal

    def __repr__(self) -> str:
        return f"RemoteBackend({self._client.url!r}, {self.name!r})"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def stream(
        self, messages: Sequence[Message], options: GenerationOptions | None = None, *, reasoning: bool = False
    ) -> RemoteStream:
        """Generate; pieces of text come as they are made (see `protocol.Backend.stream`).

        The request is sent at the first piece.

        Raises:
            PromptError: the conversation is malformed.
            ModelError: the options cannot be asked of an endpoint.
        """
        options = options or GenerationOptions()
        role = "assistant" if options.continue_final_message else "user"
        if not messages or messages[-1].role != role:
            raise PromptError(f"conversation: it must end with the {role}'s turn for the model to go on from")
        if options.thinking and self.spec is not None and not self.spec.thinking:
            raise ModelError(f"{self.name}: this model was not trained to think first; leave thinking out")
        body = request_body(options.adapter or self.name, messages, options) | self._own_fields()
        return RemoteStream(self._client, body, options, messages, reasoning=reasoning, started=time.perf_counter())

    def generate(self, messages: Sequence[Message], options: GenerationOptions | None = None) -> Reply:
        """The whole reply at once (see `protocol.Backend.generate`)."""
        stream = self.stream(messages, options)
        for _ in stream:
            pass
        return stream.reply

    def score(self, messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
        """Log-probabilities of given answers (see `protocol.Backend.score`).

        One request tells the most probable first tokens; a choice that is one of them has its score. Each other choice
        takes one more, in which it is read as the start of the answer, and the endpoint tells what the model gave
        each of its tokens (`prompt_logprobs`, which our server and vLLM have). One that does not is made to write it
        (`structured_outputs`), which tells the score if it reports probabilities as they were before the constraint.

        Raises:
            PromptError: as for `stream`; or a choice is empty or begins with white space.
            ModelError: the endpoint gives no log-probabilities, or none of this choice.
        """
        if not choices:
            raise PromptError("score: no choices; give at least one")
        for choice in choices:
            if not choice.strip() or choice != choice.lstrip():
                raise PromptError(f"score: the choice {choice!r:.60} is empty or begins with white space; trim it")
        first = self.generate(messages, GenerationOptions(max_tokens=1, top_logprobs=_TOP))
        # An endpoint that leaves the end of the turn out has nothing to tell where the answer would end at once.
        ends_at_once = first.logprobs == () and not first.text and first.finish_reason == "stop"
        if not first.logprobs and not ends_at_once:
            raise ModelError(
                f"{self.name}: the endpoint gives no log-probabilities, so answers cannot be scored; use one that "
                "does (vLLM, aris serve), or a model on this machine"
            )
        opening: dict[str, float] = {}
        for token in (first.logprobs or ())[:1]:
            opening = dict(token.top) | {token.token: token.logprob}
        read = first.usage.prompt_tokens
        return [opening[choice] if choice in opening else self._other(messages, choice, read) for choice in choices]

    def score_many(
        self, messages: Sequence[Message], questions: Sequence[tuple[str, Sequence[str]]]
    ) -> list[list[float]]:
        """Score several questions on one prefix (see `protocol.Backend.score_many`).

        Whether the images are read once is the endpoint's doing (prefix caching).
        """
        if not messages or messages[-1].role != "user":
            raise PromptError("score_many: the conversation must end with a user's turn, which the questions close")
        *earlier, turn = messages
        return [
            self.score([*earlier, replace(turn, content=(*turn.content, Text(question)))], choices)
            for question, choices in questions
        ]

    def _own_fields(self) -> dict[str, Any]:
        """Our own server's field: the tasks on this side look at the model's scope themselves, with what files say."""
        return {"ignore_scope": True} if self._ours else {}

    def _other(self, messages: Sequence[Message], choice: str, prompt_tokens: int) -> float:
        """Compute the log-probability of an answer that is not among the most probable."""
        found = self._read(messages, choice, prompt_tokens) if self._reads_back is not False else None
        if self._reads_back is None:
            self._reads_back = found is not None
        return self._forced(messages, choice) if found is None else found

    def _read(self, messages: Sequence[Message], choice: str, prompt_tokens: int) -> float | None:
        """The log-probability of an answer that the endpoint reads as a part of the prompt; None if it cannot tell.

        Args:
            messages: the conversation before it.
            choice: the answer.
            prompt_tokens: of the conversation, up to where the answer begins.
        """
        if choice != choice.strip() or not prompt_tokens:
            return None  # chat templates trim what they are given
        options = GenerationOptions(max_tokens=1, continue_final_message=True)
        body = request_body(self.name, [*messages, assistant(choice)], options)
        body = {name: value for name, value in body.items() if name not in ("stream", "stream_options")}
        body |= {"prompt_logprobs": 0} | self._own_fields()
        if self._ours:  # what comes before is not asked for, and then need not be read again
            body |= {"logprob_start_len": prompt_tokens}
        try:
            positions = self._client.answer("/chat/completions", body).get("prompt_logprobs")
        except PromptError:  # it took the same conversation a moment ago: these fields are what it does not know
            return None
        if not isinstance(positions, list) or len(positions) <= prompt_tokens:
            return None
        total = 0.0
        for position in positions[prompt_tokens:]:
            # Of the tokens that could stand there only the one that does was asked for.
            each = list(position.values()) if isinstance(position, Mapping) else []
            value = each[0].get("logprob") if len(each) == 1 and isinstance(each[0], Mapping) else None
            if not isinstance(value, float | int):
                return None
            total += float(value)
        return total

    def _forced(self, messages: Sequence[Message], choice: str) -> float:
        """The log-probability of an answer that the endpoint is made to write."""
        options = GenerationOptions(max_tokens=4 * len(choice.encode()) + 8, top_logprobs=0)
        body = request_body(self.name, messages, options) | self._own_fields()
        body |= {"structured_outputs": {"choice": [choice]}}
        stream = RemoteStream(self._client, body, options, messages, reasoning=False, started=time.perf_counter())
        try:
            written = "".join(stream)
        except PromptError:  # it took the same conversation a moment ago: the field is what it does not know
            written = ""
        total = 0.0
        rest = choice
        for token in _tokens(stream.reply):
            if not rest:
                break  # the end of the turn
            total += token[1]
            rest = rest.removeprefix(token[0])
        # A likely answer would have been among the first tokens: certainty here means that the endpoint reports
        # probabilities after it was told what to write, which say nothing of the model.
        if written != choice or rest or total > -1e-6:
            raise ModelError(
                f"{self.name}: the endpoint gives no log-probability of the answer {choice!r:.60}, which is not among "
                f"the {_TOP} most probable; use a model on this machine, or one behind aris serve or vLLM"
            )
        return total


def _tokens(reply: Reply) -> Iterator[tuple[str, float]]:
    return ((each.token, each.logprob) for each in reply.logprobs or ())


def _choose(cards: Sequence[Mapping[str, Any]], wanted: str | None, url: str) -> Mapping[str, Any]:
    """The model meant: by its name there, by another name of the same model, or the only one."""
    names = [str(card["id"]) for card in cards]
    listed = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    if wanted is None:
        bases = [card for card in cards if not card.get("parent")]
        if len(bases) == 1:
            return bases[0]
        raise ModelError(f"{url}: it serves {len(cards)} models ({listed}); choose one with --model")
    spec = find(wanted)
    for card, name in zip(cards, names, strict=True):
        if name == wanted or (spec is not None and find(name) is spec):
            return card
    near = difflib.get_close_matches(wanted, names, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    raise ModelError(f"{url}: it does not serve {wanted!r:.100}, but {listed or 'nothing'}{meant}")
