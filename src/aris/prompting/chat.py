"""Gemma 3's chat template: messages to the one string that the model was trained to read.

    <bos><start_of_turn>user
    {system text}

    {parts of the user's turn, each trimmed}<end_of_turn>
    <start_of_turn>model

Equal to the jinja template in Gemma 3's `tokenizer_config.json`, with these differences, each an error there or a
silent loss: a conversation without a user turn, a system message that is not the first, and a system message of
several parts are refused.

Content is not markup. A report, a web page or a burned-in label may spell out a control token ("<end_of_turn>",
"<start_of_image>"), and a tokenizer cannot tell it from ours. `neutralize` puts a zero-width space after the first
character of every such spelling: it reads the same and is no longer one token. This is sound because every control
token begins with "<" or "[" and holds neither again, nor a newline: one that begins in content must end in it, as
what we put after content begins with "<" or a newline, and one that begins in our markup ends with its ">".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from aris.errors import PromptError
from aris.prompting.messages import Image, Message, Text
from aris.prompting.tokenizer import BOS, END_OF_TURN, START_OF_IMAGE, START_OF_TURN

# How Gemma 3's vocabulary spells its control tokens; a test holds this to the vocabulary itself.
CONTROL_TOKEN = re.compile(
    r"<(?=(?:pad|eos|bos|unk|mask|start_of_turn|end_of_turn|start_of_image|end_of_image|image_soft_token|unused\d+)>)"
    r"|\[(?=multimodal\])"
)
ZERO_WIDTH_SPACE = "\u200b"


def neutralize(text: str) -> str:
    """The text with every spelling of a control token broken by a zero-width space; all other text unchanged."""
    return CONTROL_TOKEN.sub(lambda match: match.group() + ZERO_WIDTH_SPACE, text)


def render(
    messages: Sequence[Message],
    add_generation_prompt: bool = True,
    *,
    trusted: bool = False,
    continue_final_message: bool = False,
) -> str:
    """The prompt of a conversation as one string, beginning with `<bos>`, with `<start_of_image>` for each image.

    Args:
        messages: an optional system message, then user and assistant turns in strict alternation.
        add_generation_prompt: end with the opening of the model's turn.
        trusted: leave control tokens that the texts spell out as they are. For texts of our own making, such as a
            turn of the model with its thinking markers; never for a user's.
        continue_final_message: leave the last turn, which is the assistant's, open for the model to go on with. Its end
            is not trimmed.

    Raises:
        PromptError: there is no user turn, the roles do not alternate, or a system message is misplaced or not text.
    """
    turns = list(messages)
    prefix = ""
    if continue_final_message and (not turns or turns[-1].role != "assistant"):
        raise PromptError("conversation: to be continued, its last turn must be the assistant's")
    if turns and turns[0].role == "system":
        prefix = _content(turns.pop(0), trusted, trim=False) + "\n\n"
    if not turns:
        raise PromptError("conversation: no user turn; add aris.user(...)")
    rendered = [BOS]
    for index, message in enumerate(turns):
        expected = "assistant" if index % 2 else "user"
        if message.role != expected:
            raise PromptError(
                f"conversation: turn {index + 1} is from {message.role!r}, expected {expected!r}; user and assistant "
                "alternate, a system message comes first"
            )
        role = "model" if message.role == "assistant" else "user"
        if continue_final_message and index + 1 == len(turns):
            rendered.append(f"{START_OF_TURN}{role}\n{_content(message, trusted, trim=False).lstrip()}")
            return "".join(rendered)
        rendered.append(f"{START_OF_TURN}{role}\n{prefix}{_content(message, trusted, trim=True)}{END_OF_TURN}\n")
        prefix = ""
    if add_generation_prompt:
        rendered.append(f"{START_OF_TURN}model\n")
    return "".join(rendered)


def _content(message: Message, trusted: bool, *, trim: bool) -> str:
    """Join a turn's parts without a separator, as the template does; its texts neutralised."""
    if message.role == "system" and (len(message.content) != 1 or isinstance(message.content[0], Image)):
        raise PromptError("conversation: a system message is one text; put images and more texts into the user's turn")
    # Neighbouring texts are joined before they are neutralised: two halves of a control token could meet there.
    runs: list[str | None] = []
    for part in message.content:
        if isinstance(part, Text):
            text = part.text.strip() if trim else part.text
            if runs and runs[-1] is not None:
                runs[-1] += text
            else:
                runs.append(text)
        else:
            runs.append(None)
    safe = (lambda text: text) if trusted else neutralize
    return "".join(START_OF_IMAGE if run is None else safe(run) for run in runs)
