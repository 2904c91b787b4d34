"""/v1/chat/completions: requests, responses and chunks."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Field, model_validator

from aris.service.schemas.common import Request, ResponseFormat, Sampling, Usage


class TextPart(Request):
    """A part of a message: text."""

    type: Literal["text"]
    text: str


class ImageUrl(Request):
    """An image as a data: URI. `detail` changes nothing: the model has one resolution."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(Request):
    """A part of a message: an image."""

    type: Literal["image_url"]
    image_url: ImageUrl


class RefusalPart(Request):
    """A part of an earlier answer in which a model refused."""

    type: Literal["refusal"]
    refusal: str


class SystemMessage(Request):
    """Instructions before the conversation; Gemma reads them with the first user's turn."""

    role: Literal["system", "developer"]
    content: str | list[TextPart]


class UserMessage(Request):
    """A user's turn: text and images in reading order."""

    role: Literal["user"]
    content: str | list[Annotated[TextPart | ImagePart, Field(discriminator="type")]]


class AssistantMessage(Request):
    """A turn that the model answered before. Its thoughts (`reasoning_content`) are not read again."""

    role: Literal["assistant"]
    content: str | list[Annotated[TextPart | RefusalPart, Field(discriminator="type")]]


ChatMessage = Annotated[SystemMessage | UserMessage | AssistantMessage, Field(discriminator="role")]


class ChatTemplateOptions(Request):
    """vLLM's `chat_template_kwargs`: `enable_thinking` asks the model to think first."""

    enable_thinking: bool = False


class ProcessorOptions(Request):
    """vLLM's `mm_processor_kwargs`: `do_pan_and_scan` gives elongated images crops too."""

    do_pan_and_scan: bool | None = None


class ChatRequest(Sampling):
    """A conversation to answer.

    Attributes:
        continue_final_message: go on with the last message, the assistant's, instead of beginning a new one; as in
            vLLM, `add_generation_prompt` must then be false.
        prompt_logprobs: report each prompt token's log-probability, with so many of the likeliest (vLLM's field).
        logprob_start_len: only from this prompt token on (SGLang's field).
        ignore_scope: let the model answer outside its declared scope (our own field); the answer is marked.
    """

    unsupported: ClassVar[tuple[tuple[str, tuple[Any, ...]], ...]] = (
        *Sampling.unsupported,
        ("tools", (None, [])),
        ("functions", (None, [])),
        ("audio", (None,)),
        ("modalities", (None, ["text"])),
        ("web_search_options", (None,)),
        ("prediction", (None,)),
        ("echo", (None, False)),
    )

    messages: list[ChatMessage] = Field(min_length=1, max_length=4096)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    response_format: ResponseFormat | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    include_reasoning: bool = True
    chat_template_kwargs: ChatTemplateOptions | None = None
    mm_processor_kwargs: ProcessorOptions | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    audio: Any = None
    modalities: list[str] | None = None
    web_search_options: Any = None
    prediction: Any = None
    add_generation_prompt: bool = True
    continue_final_message: bool = False
    prompt_logprobs: int | None = Field(default=None, ge=0, le=20)
    logprob_start_len: int = Field(default=0, ge=0)
    echo: bool | None = None
    ignore_scope: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> ChatRequest:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs is only allowed when logprobs is true")
        if self.structured_outputs is not None and self.response_format is not None and (
            self.response_format.type != "text"
        ):
            raise ValueError("give either response_format or structured_outputs")
        if self.continue_final_message == self.add_generation_prompt:
            raise ValueError("give continue_final_message true with add_generation_prompt false, or neither")
        if self.continue_final_message and self.messages[-1].role != "assistant":
            raise ValueError("continue_final_message needs a last message of the assistant's")
        if self.continue_final_message and self.thinks:
            raise ValueError("continue_final_message does not go with thinking")
        if self.prompt_logprobs is not None and self.stream:
            raise ValueError("prompt_logprobs are not given while streaming")
        return self

    @property
    def token_limit(self) -> int | None:
        """What the caller set, by either name."""
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens

    @property
    def thinks(self) -> bool:
        """Whether the caller asks for thinking, by either name."""
        by_template = self.chat_template_kwargs is not None and self.chat_template_kwargs.enable_thinking
        return by_template or self.reasoning_effort in ("low", "medium", "high", "xhigh")


class TopLogprob(BaseModel):
    """A token that could have stood here. `bytes` are its UTF-8."""

    token: str
    logprob: float
    bytes: list[int] | None = None


class TokenLogprob(TopLogprob):
    """A token that was generated."""

    top_logprobs: list[TopLogprob]


class ChoiceLogprobs(BaseModel):
    """Log-probabilities of the tokens of a choice or of one chunk, thoughts included."""

    content: list[TokenLogprob]
    refusal: None = None


class ChatResponseMessage(BaseModel):
    """The answer; `reasoning_content` are its thoughts.

    `refusal` says why there is no answer; `content` says the same, or is null where a form was asked for.
    """

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: str | None = None
    reasoning_content: str | None = None


class ChatChoice(BaseModel):
    """One of the `n` answers."""

    index: int
    message: ChatResponseMessage
    logprobs: ChoiceLogprobs | None = None
    finish_reason: Literal["stop", "length"]


class PromptLogprob(BaseModel):
    """A token of the prompt, or one that could have stood there; `rank` is its place among all, where it is known."""

    logprob: float
    rank: int | None = None
    decoded_token: str | None = None


class ScopeNotes(BaseModel):
    """What a reader must know of an answer (our own field, `aris`).

    Attributes:
        answered: False where the answer only says why the model cannot answer.
        warnings: of the images and of the model's scope, one line each.
        caution: what must stand with all that the model writes, if it is never for patient care.
    """

    answered: bool
    warnings: list[str]
    caution: str | None = None


class ChatCompletion(BaseModel):
    """The whole answer.

    Attributes:
        aris: what a reader must know of it; left out where there is nothing to say.
        prompt_logprobs: for each token of the prompt what `prompt_logprobs` asked for, by token ids; null for the first
            one, for images and what stands before them, and before `logprob_start_len`.
    """

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage
    system_fingerprint: str | None = None
    prompt_logprobs: list[dict[str, PromptLogprob] | None] | None = None
    aris: ScopeNotes | None = None


class Delta(BaseModel):
    """What a chunk adds to the message."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None


class ChunkChoice(BaseModel):
    """What a chunk adds to one choice."""

    index: int
    delta: Delta
    logprobs: ChoiceLogprobs | None = None
    finish_reason: Literal["stop", "length"] | None = None


class ChatCompletionChunk(BaseModel):
    """One event of a stream. `aris` is what a reader must know of the answer, in the first one."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None
    system_fingerprint: str | None = None
    aris: ScopeNotes | None = None
