"""Fields that chat and legacy completions share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

# The type of an error about a field that is not taken; its context holds the field's name.
REFUSED_FIELD = "refused_field"
# The range of a seed: torch's generators take any 64-bit integer.
_SEED = 1 << 63


class Request(BaseModel):
    """Base of what callers send.

    A field that is not known is refused by its name, as it may be meant to change the answer; so is one that is known
    to and is not supported. A null is as good as none.

    Attributes:
        harmless: fields that are taken and change no answer, whatever they hold.
        neutral: fields that are taken with these values alone, which change nothing.
    """

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)
    harmless: ClassVar[frozenset[str]] = frozenset()
    neutral: ClassVar[Mapping[str, tuple[Any, ...]]] = {}

    @model_validator(mode="before")
    @classmethod
    def _refuse_others(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            known = {field.alias or name for name, field in cls.model_fields.items()}
            for name, value in data.items():
                if name in known or name in cls.harmless or value is None:
                    continue
                if name not in cls.neutral:
                    raise _refusal(name, "is not known to this server")
                if value not in cls.neutral[name]:
                    raise _refusal(name, "is not supported by this server")
        return data


def _refusal(name: object, why: str) -> PydanticCustomError:
    field = "".join(sign for sign in str(name) if sign.isprintable())[:60]
    return PydanticCustomError(REFUSED_FIELD, f"{{field}} {why}; leave it out", {"field": field})


class StreamOptions(Request):
    """`include_usage`: one more chunk before the end, with the usage and no choices."""

    harmless = frozenset({"include_obfuscation"})  # padding against who counts bytes on the way
    neutral: ClassVar[Mapping[str, tuple[Any, ...]]] = {"continuous_usage_stats": (False,)}

    include_usage: bool = False


class TextFormat(Request):
    """Any text: the default."""

    type: Literal["text"]


class JsonObjectFormat(Request):
    """Any JSON object."""

    type: Literal["json_object"]


class JsonSchema(Request):
    """A schema and its name; `strict` changes nothing, as the answer is always held to the schema."""

    name: str = Field(default="response", max_length=64)
    description: str | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None


class JsonSchemaFormat(Request):
    """JSON that is valid under a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]


JsonSchemaOrText = dict[str, Any] | bool | Annotated[str, Field(min_length=1)]
Choices = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1, fail_fast=True)]
Pattern = Annotated[str, Field(min_length=1)]


class StructuredOutputs(Request):
    """vLLM's field of this name.

    The answer is held to a JSON schema, a regular expression, one of some strings, a grammar (Lark's form or GBNF), or
    any JSON object.
    """

    harmless = frozenset({"disable_any_whitespace", "backend"})  # a document has no white space that could vary
    neutral: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "disable_fallback": (False,),
        "disable_additional_properties": (False,),
        "whitespace_pattern": (),
        "structural_tag": (),
    }

    json_: JsonSchemaOrText | None = Field(default=None, alias="json")
    regex: Pattern | None = None
    choice: Choices | None = None
    grammar: Pattern | None = None
    json_object: bool | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> StructuredOutputs:
        if len(self.given) != 1:
            raise ValueError("give exactly one of json, regex, choice, grammar and json_object")
        return self

    @property
    def given(self) -> dict[str, Any]:
        """Return the fields that are set, by the names of `Grammar`'s constructors."""
        found = {
            "json_schema": self.json_, "regex": self.regex, "choice": self.choice, "grammar": self.grammar,
            "json_object": self.json_object or None,
        }  # fmt: skip
        return {name: value for name, value in found.items() if value is not None}


StopString = Annotated[str, Field(min_length=1, max_length=1000)]
TokenId = Annotated[int, Field(ge=0, lt=1 << 31, strict=True)]


class Sampling(Request):
    """Sampling parameters; the fields of both endpoints.

    Those that OpenAI has not are vLLM's: `top_k`, `min_p`, `repetition_penalty`, `min_tokens`, `stop_token_ids`,
    `ignore_eos`, `bad_words`, `include_stop_str_in_output`, `structured_outputs`, and `guided_json`, `guided_regex`,
    `guided_choice` and `guided_grammar`, which are its older names for the same.
    """

    harmless = frozenset({
        "user", "metadata", "store", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
        "prompt_cache_options", "service_tier", "priority", "request_id", "guided_decoding_backend",
        "spaces_between_special_tokens",
    })  # fmt: skip
    neutral: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "allowed_token_ids": (),
        "cache_salt": (),
        "detokenize": (True,),
        "early_stopping": (False,),
        "guided_whitespace_pattern": (),
        "kv_transfer_params": (),
        "length_penalty": (1,),
        "logits_processors": ([],),
        "return_token_ids": (False,),
        "return_tokens_as_token_ids": (False,),
        "skip_special_tokens": (True,),
        "truncate_prompt_tokens": (),
        "typical_p": (1,),
        "use_beam_search": (False,),
        "vllm_xargs": ({},),
    }

    model: str | None = None
    n: int | None = Field(default=None, ge=1, le=128)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=-1)
    min_p: float | None = Field(default=None, ge=0, le=1)
    seed: int | None = Field(default=None, ge=-_SEED, lt=_SEED)
    stop: StopString | Annotated[list[StopString], Field(max_length=16, fail_fast=True)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    guided_json: JsonSchemaOrText | None = None
    guided_regex: Pattern | None = None
    guided_choice: Choices | None = None
    guided_grammar: Pattern | None = None
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    repetition_penalty: float | None = Field(default=None, gt=0, le=10)
    logit_bias: dict[str, float] | None = Field(default=None, max_length=1024)
    min_tokens: int | None = Field(default=None, ge=0)
    stop_token_ids: Annotated[list[TokenId], Field(max_length=128, fail_fast=True)] | None = None
    ignore_eos: bool | None = None
    bad_words: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=1000)]], Field(max_length=128, fail_fast=True)
    ] | None = None
    include_stop_str_in_output: bool | None = None

    @model_validator(mode="after")
    def _go_together(self) -> Sampling:
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options is only allowed when stream is true")
        if len(self.constraints) > 1:
            raise ValueError(f"give one of {', '.join(name for name, _, _ in self.constraints)}")
        for token, value in (self.logit_bias or {}).items():
            if not (token.isascii() and token.isdecimal() and len(token) < 10):
                raise ValueError("logit_bias: its keys are token ids, such as \"1234\"")
            if not -100 <= value <= 100:
                raise ValueError("logit_bias: its values are between -100 and 100")
        return self

    @property
    def constraints(self) -> list[tuple[str, str, Any]]:
        """List the answer's constraints, by every name of them: (field, constructor of `Grammar`, its argument)."""
        found: list[tuple[str, str, Any]] = []
        wanted = self.response_format
        if isinstance(wanted, JsonSchemaFormat):
            schema = {"type": "object"} if wanted.json_schema.schema_ is None else wanted.json_schema.schema_
            found.append(("response_format", "json_schema", schema))
        elif isinstance(wanted, JsonObjectFormat):
            found.append(("response_format", "json_object", None))
        for name, value in ({} if self.structured_outputs is None else self.structured_outputs.given).items():
            found.append(("structured_outputs", name, None if name == "json_object" else value))
        for field, name in (
            ("guided_json", "json_schema"), ("guided_regex", "regex"), ("guided_choice", "choice"),
            ("guided_grammar", "grammar"),
        ):  # fmt: skip
            if getattr(self, field) is not None:
                found.append((field, name, getattr(self, field)))
        return found

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """The stop strings, however they were given."""
        if self.stop is None:
            return ()
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)

    @property
    def includes_usage(self) -> bool:
        """Return whether the stream ends with a chunk of usage."""
        return self.stream_options is not None and self.stream_options.include_usage


class Usage(BaseModel):
    """Counts of tokens. An image counts as the tokens that it takes in the prompt."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Error(BaseModel):
    """Error of a request; `param` is the field, `code` a word for programs."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorResponse(BaseModel):
    """The body of every status of 400 and above."""

    error: Error


class ModelCard(BaseModel):
    """Card of a model.

    Attributes:
        max_model_len: tokens that it reads and writes at most (vLLM's field).
        parent: for an adapter, the model that it is on (vLLM's field).
        aris: what Aris' own clients ask for besides: the registry's name of the model, whether it reads images, its
            calibration, and what was done to its weights.
    """

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "aris"
    max_model_len: int | None = None
    parent: str | None = None
    aris: dict[str, Any] = Field(default_factory=dict)


class ModelList(BaseModel):
    """All models that are served: one, and it with each of its adapters."""

    object: Literal["list"] = "list"
    data: list[ModelCard]
