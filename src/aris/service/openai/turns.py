"""Messages of a chat request as the turns that a model reads: each is rendered or refused, none is dropped."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aris.prompting import Image, Message, Text
from aris.service.errors import bad_request
from aris.service.openai.images import ImageReader
from aris.service.openai.tools import spelt_calls, spelt_result
from aris.service.schemas import (
    AssistantMessage,
    ChatMessage,
    FunctionMessage,
    ImagePart,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
)

Parts = list[Text | Image]


def turns(
    messages: Sequence[ChatMessage], reader: ImageReader, told: str | None, going: Callable[[], None]
) -> list[Message]:
    """The turns of a conversation. Decodes its images.

    Args:
        messages: as they came.
        reader: for their images.
        told: instructions beside the caller's own, such as which functions there are.
        going: is called between images, and raises where the work is for nobody any more.

    Raises:
        ApiError: a message cannot be read, or stands where it cannot.
    """
    system: list[str] = []
    out: list[Message] = []
    names: dict[str, str] = {}  # of the functions called so far, by the ids of the calls
    results = False  # whether the last turn holds what functions gave, which a user's message may go on with
    for index, message in enumerate(messages):
        where = f"messages.{index}"
        if isinstance(message, SystemMessage):
            if out:
                raise bad_request(f"{where}: instructions stand before the conversation, not inside it", where)
            system.append(_joined(message.content))
        elif isinstance(message, AssistantMessage):
            out.append(Message("assistant", (Text(_answer(message)),)))
            names |= {call.id: call.function.name for call in message.tool_calls or ()}
            results = False
        elif isinstance(message, UserMessage):
            parts = _parts(message, reader, where, going)
            if results:
                out[-1] = _followed(out[-1], parts)
            else:
                out.append(Message("user", tuple(parts)))
            results = False
        else:
            result = Text(_result(message, names, where))
            if results:
                out[-1] = _followed(out[-1], [result])
            else:
                out.append(Message("user", (result,)))
            results = True
    if told is not None:
        system.append(told)
    if system:
        # Several instructions in a row, as some clients send them, are one to Gemma.
        out.insert(0, Message("system", (Text("\n\n".join(system)),)))
    return out


def _followed(turn: Message, parts: Parts) -> Message:
    """A turn with more parts on a line of their own: the template joins texts without a separator."""
    *before, last = turn.content
    if isinstance(last, Text) and parts and isinstance(parts[0], Text):
        last, parts = Text(f"{last.text}\n{parts[0].text}"), parts[1:]
    return Message("user", (*before, last, *parts))


def _joined(content: str | Sequence[TextPart]) -> str:
    return content if isinstance(content, str) else "".join(part.text for part in content)


def _answer(message: AssistantMessage) -> str:
    """Render the model's earlier answer: its text, refusal and calls."""
    content = message.content
    if isinstance(content, list):
        content = "".join(part.text if isinstance(part, TextPart) else part.refusal for part in content)
    calls = [call.function for call in message.tool_calls or ()]
    if message.function_call is not None:
        calls.append(message.function_call)
    said = [content or "", message.refusal or "", spelt_calls(calls) if calls else ""]
    return "\n".join(text for text in said if text)


def _result(message: ToolMessage | FunctionMessage, names: dict[str, str], where: str) -> str:
    if isinstance(message, FunctionMessage):
        return spelt_result(message.name, message.content or "")
    called = names.get(message.tool_call_id)
    if called is None:
        raise bad_request(f"{where}: no call before it has this tool_call_id", where)
    if message.name not in (None, called):
        raise bad_request(f"{where}: its name is not that of the function that was called", where)
    return spelt_result(called, _joined(message.content))


def _parts(message: UserMessage, reader: ImageReader, where: str, going: Callable[[], None]) -> Parts:
    if isinstance(message.content, str):
        return [Text(message.content)]
    parts: Parts = []
    for index, part in enumerate(message.content):
        if isinstance(part, ImagePart):
            going()
            parts.append(reader.read(part.image_url.url, f"{where}.content.{index}.image_url"))
        else:
            parts.append(Text(part.text))
    return parts
