"""OpenAI's requests and responses as pydantic models: names, types and ranges; no behaviour.

Unknown fields are ignored, as vLLM does. Fields that are known, would change the answer and are not supported are
refused by `refuse_unsupported` where they are set to anything but what changes nothing.
"""

from aris.service.schemas.chat import (
    AssistantMessage,
    ChatCompletion,
    ChatCompletionChunk,
    ChatMessage,
    ChatRequest,
    ImagePart,
    RefusalPart,
    SystemMessage,
    TextPart,
    UserMessage,
)
from aris.service.schemas.common import (
    ErrorResponse,
    JsonObjectFormat,
    JsonSchemaFormat,
    ModelCard,
    ModelList,
    ResponseFormat,
    StructuredOutputs,
    Usage,
)
from aris.service.schemas.completions import Completion, CompletionRequest

__all__ = [
    "AssistantMessage",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatMessage",
    "ChatRequest",
    "Completion",
    "CompletionRequest",
    "ErrorResponse",
    "ImagePart",
    "JsonObjectFormat",
    "JsonSchemaFormat",
    "ModelCard",
    "ModelList",
    "RefusalPart",
    "ResponseFormat",
    "StructuredOutputs",
    "SystemMessage",
    "TextPart",
    "Usage",
    "UserMessage",
]
