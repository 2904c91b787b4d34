"""OpenAI's requests and responses as pydantic models: names, types and ranges; no behaviour.

A field that is not known is refused by its name, and so is one that is known to change the answer and is not
supported (see `common.Request`).
"""

from aris.service.schemas.chat import (
    AssistantMessage,
    ChatCompletion,
    ChatCompletionChunk,
    ChatMessage,
    ChatRequest,
    FunctionMessage,
    ImagePart,
    NamedTool,
    RefusalPart,
    SystemMessage,
    TextPart,
    Tool,
    ToolMessage,
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
    "FunctionMessage",
    "ImagePart",
    "JsonObjectFormat",
    "JsonSchemaFormat",
    "ModelCard",
    "ModelList",
    "NamedTool",
    "RefusalPart",
    "ResponseFormat",
    "StructuredOutputs",
    "SystemMessage",
    "TextPart",
    "Tool",
    "ToolMessage",
    "Usage",
    "UserMessage",
]
