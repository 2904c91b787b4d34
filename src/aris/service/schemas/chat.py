"""/v1/chat/completions: requests, responses and chunks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from aris.service.schemas.common import Request, Sampling, Usage

_CACHING = frozenset({"cache_control"})  # Anthropic's hint for caches


class TextPart(Request):
    """A part of a message: text."""

    harmless = _CACHING

    type: Literal["text"]
    text: str


class ImageUrl(Request):
    """An image as a data: URI.

    Every image is read at the model's one resolution, the highest that it has, so a low `detail` is refused.
    """

    url: str
    detail: Literal["auto", "high"] | None = None

    @field_validator("detail", mode="before")
    @classmethod
    def _no_less(cls, value: Any) -> Any:
        if value == "low":
            raise ValueError("low is not supported: images are read at the model's one resolution; leave it out")
        return value


class ImagePart(Request):
    """A part of a message: an image."""

    harmless = _CACHING
    neutral: ClassVar[Mapping[str, tuple[Any, ...]]] = {"uuid": ()}

    type: Literal["image_url"]
    image_url: ImageUrl


class RefusalPart(Request):
    """A part of an earlier answer in which a model refused."""

    type: Literal["refusal"]
    refusal: str


_NO_NAME: Mapping[str, tuple[Any, ...]] = {"name": ()}  # Gemma's template knows roles, no names


class SystemMessage(Request):
    """Instructions before the conversation; Gemma reads them with the first user's turn."""

    neutral = _NO_NAME

    role: Literal["system", "developer"]
    content: str | Annotated[list[TextPart], Field(fail_fast=True)]


class UserMessage(Request):
    """A user's turn: text and images in reading order."""

    neutral = _NO_NAME

    role: Literal["user"]
    content: str | Annotated[list[Annotated[TextPart | ImagePart, Field(discriminator="type")]], Field(fail_fast=True)]


class CalledFunction(Request):
    """A function that the model called; `arguments` are JSON text."""

    name: str = Field(min_length=1, max_length=256)
    arguments: str


class ToolCall(Request):
    """A call in an earlier answer."""

    harmless = frozenset({"index"})  # left over from chunks

    id: str = Field(min_length=1)
    type: Literal["function"] = "function"
    function: CalledFunction


_Said = Annotated[TextPart | RefusalPart, Field(discriminator="type")]


class AssistantMessage(Request):
    """A turn that the model answered before, with what it called.

    Its reasoning (`reasoning_content`) is not read again, as models of this family were trained.
    """

    harmless = frozenset({"reasoning_content", "reasoning", "annotations"})
    neutral: ClassVar[Mapping[str, tuple[Any, ...]]] = {**_NO_NAME, "audio": ()}

    role: Literal["assistant"]
    content: str | Annotated[list[_Said], Field(fail_fast=True)] | None = None
    refusal: str | None = None
    tool_calls: Annotated[list[ToolCall], Field(max_length=128, fail_fast=True)] | None = None
    function_call: CalledFunction | None = None

    @model_validator(mode="after")
    def _says_something(self) -> AssistantMessage:
        if self.content is None and not (self.refusal or self.tool_calls or self.function_call):
            raise ValueError("the assistant's turn needs content, a refusal or tool_calls")
        return self


class ToolMessage(Request):
    """Message with the result of a called function."""

    role: Literal["tool"]
    tool_call_id: str = Field(min_length=1)
    content: str | Annotated[list[TextPart], Field(fail_fast=True)]
    name: str | None = None


class FunctionMessage(Request):
    """The same in OpenAI's older form."""

    role: Literal["function"]
    name: str = Field(min_length=1, max_length=256)
    content: str | None = None


ChatMessage = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage, Field(discriminator="role")
]


class FunctionDefinition(Request):
    """A function that the model may call. `strict` changes nothing, as arguments are always held to the schema."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Request):
    """A tool: a function."""

    harmless = _CACHING

    type: Literal["function"]
    function: FunctionDefinition


class FunctionName(Request):
    """A function by its name."""

    name: str


class NamedTool(Request):
    """The function that must be called."""

    type: Literal["function"]
    function: FunctionName


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
        prompt_logprobs: report each prompt token's log-probability, with so many of the most probable (vLLM's field).
        logprob_start_len: only from this prompt token on (SGLang's field).
        ignore_scope: let the model answer outside its declared scope (our own field); the answer is marked.
    """

    neutral: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        **Sampling.neutral,
        "add_special_tokens": (False,),
        "audio": (),
        "chat_template": (),
        "documents": ([],),
        "echo": (False,),
        "function_call": ("none",),
        "functions": ([],),
        "modalities": (["text"],),
        "prediction": (),
        "verbosity": ("medium",),
        "web_search_options": (),
    }

    messages: Annotated[list[ChatMessage], Field(fail_fast=True)] = Field(min_length=1, max_length=4096)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    include_reasoning: bool = True
    chat_template_kwargs: ChatTemplateOptions | None = None
    mm_processor_kwargs: ProcessorOptions | None = None
    tools: Annotated[list[Tool], Field(max_length=128, fail_fast=True)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    add_generation_prompt: bool = True
    continue_final_message: bool = False
    prompt_logprobs: int | None = Field(default=None, ge=0, le=20)
    logprob_start_len: int = Field(default=0, ge=0)
    ignore_scope: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> ChatRequest:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs is only allowed when logprobs is true")
        self._check_tools()
        if self.continue_final_message == self.add_generation_prompt:
            raise ValueError("give continue_final_message true with add_generation_prompt false, or neither")
        if self.continue_final_message and self.messages[-1].role != "assistant":
            raise ValueError("continue_final_message needs a last message of the assistant's")
        if self.continue_final_message and self.thinks:
            raise ValueError("continue_final_message does not go with thinking")
        if self.prompt_logprobs is not None and self.stream:
            raise ValueError("prompt_logprobs are not given while streaming")
        return self

    def _check_tools(self) -> None:
        names = [tool.function.name for tool in self.tools or ()]
        if len(set(names)) < len(names):
            raise ValueError("tools: two functions have one name; rename one")
        if isinstance(self.tool_choice, NamedTool):
            if self.tool_choice.function.name not in names:
                raise ValueError("tool_choice names a function that is not among tools")
        elif self.tool_choice == "required" and not names:
            raise ValueError("tool_choice is only allowed when tools are given")
        if self.calls and self.constraints:
            raise ValueError(f"{self.constraints[0][0]} does not go with tools; give tool_choice none, or leave it out")
        if self.calls and self.continue_final_message:
            raise ValueError("continue_final_message does not go with tools; give tool_choice none, or leave it out")

    @property
    def calls(self) -> Literal["auto", "required", "named"] | None:
        """Return whether the answer may or must call functions; None for neither."""
        if not self.tools or self.tool_choice == "none":
            return None
        if isinstance(self.tool_choice, NamedTool):
            return "named"
        return "required" if self.tool_choice == "required" else "auto"

    @property
    def token_limit(self) -> int | None:
        """Return the caller's limit of tokens, by either name."""
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens

    @property
    def thinks(self) -> bool:
        """Return whether the caller asks for thinking, by either name."""
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
    """Log-probabilities of the tokens of a choice or of one chunk, reasoning included."""

    content: list[TokenLogprob]
    refusal: None = None


class FunctionCall(BaseModel):
    """A function and its arguments as JSON text; a chunk has what it adds to them."""

    name: str | None = None
    arguments: str


class ResponseToolCall(BaseModel):
    """A call of a function; in chunks `index` says which, and id, type and name come with the first alone."""

    index: int | None = None
    id: str | None = None
    type: Literal["function"] | None = None
    function: FunctionCall


class ChatResponseMessage(BaseModel):
    """The answer; `reasoning_content` is its reasoning, and content is null where it is calls.

    `refusal` says why there is no answer; `content` says the same, or is null where a form was asked for.
    """

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ResponseToolCall] | None = None


FinishReason = Literal["stop", "length", "tool_calls"]


class ChatChoice(BaseModel):
    """Choice of the `n` answers; `stop_reason` is the stop string or token that ended it (vLLM's field)."""

    index: int
    message: ChatResponseMessage
    logprobs: ChoiceLogprobs | None = None
    finish_reason: FinishReason
    stop_reason: int | str | None = None


class PromptLogprob(BaseModel):
    """A token of the prompt, or one that could have stood there; `rank` is its place among all, where it is known."""

    logprob: float
    rank: int | None = None
    decoded_token: str | None = None


class ScopeNotes(BaseModel):
    """Notes that a reader must know of an answer (our own field, `aris`).

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
    """Addition of a chunk to the message."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ResponseToolCall] | None = None
    refusal: str | None = None


class ChunkChoice(BaseModel):
    """Addition of a chunk to one choice."""

    index: int
    delta: Delta
    logprobs: ChoiceLogprobs | None = None
    finish_reason: FinishReason | None = None
    stop_reason: int | str | None = None


class ChatCompletionChunk(BaseModel):
    """Chunk of a stream. `aris`, in the first one, is what a reader must know of the answer."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None
    system_fingerprint: str | None = None
    aris: ScopeNotes | None = None
