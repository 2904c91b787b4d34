"""`aris ask` and `aris chat`: answers as they come, conversations that remember."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aris.prompting import Image, Text
from scripted_backend import ScriptedBackend

Aris = Callable[..., Any]
Scripted = Callable[..., ScriptedBackend]


def texts(messages: list[Any]) -> list[str]:
    return [part.text for message in messages for part in message.content if isinstance(part, Text)]


def test_ask_prints_the_answer_alone_on_stdout(aris: Aris, scripted: Scripted) -> None:
    scripted(pieces=("Because ", "it is."))
    result = aris("ask", "Why?")
    assert result.exit_code == 0 and result.stdout == "Because it is.\n"
    assert "clinician" in result.stderr


def test_ask_with_images_and_json(aris: Aris, scripted: Scripted, film_png: Path) -> None:
    model = scripted(pieces=("A film.",))
    result = aris("ask", "-i", film_png, "--image", film_png, "What?", "--json")
    data = json.loads(result.stdout)
    assert data["answer"] == "A film." and data["files"] == [str(film_png)] * 2 and data["question"] == "What?"
    assert sum(isinstance(part, Image) for part in model.prompts[0][0].content) == 2


def test_ask_reads_stdin(aris: Aris, scripted: Scripted) -> None:
    model = scripted(pieces=("x",))
    assert aris("ask", "-", input="From a pipe?\n").exit_code == 0
    assert texts(model.prompts[0]) == ["From a pipe?\n"]


def test_ask_with_an_unreadable_image(aris: Aris, scripted: Scripted, tmp_path: Path) -> None:
    scripted()
    result = aris("ask", "-i", tmp_path / "none.png", "What?", "--json")
    assert result.exit_code == 1 and result.stdout == "" and "none.png" in result.stderr


def test_an_empty_question_is_refused(aris: Aris, scripted: Scripted) -> None:
    scripted()
    assert aris("ask", " ").exit_code == 1


def test_chat_remembers_and_clears(aris: Aris, scripted: Scripted, film_png: Path) -> None:
    model = scripted(pieces=("Yes.",))
    typed = f"/image {film_png}\nFirst?\n\nSecond?\n/clear\nThird?\n/nonsense\n/help\n/quit\nFourth?\n"
    result = aris("chat", "--system", "Be short.", input=typed)
    assert result.exit_code == 0, result.output
    assert result.stdout == "Yes.\n" * 3
    assert [texts(prompt) for prompt in model.prompts] == [
        ["Be short.", "First?"],
        ["Be short.", "First?", "Yes.", "Second?"],
        ["Be short.", "Third?"],
    ]
    images = [sum(isinstance(p, Image) for m in prompt for p in m.content) for prompt in model.prompts]
    assert images == [1, 1, 0]
    assert "no command /nonsense" in result.stderr


def test_chat_json_is_one_line_an_answer(aris: Aris, scripted: Scripted) -> None:
    scripted(pieces=("One\ntwo",))
    lines = aris("chat", "--json", input="A?\nB?\n").stdout.splitlines()
    assert [json.loads(line)["question"] for line in lines] == ["A?", "B?"]


def test_chat_from_a_pipe_fails_where_an_image_cannot_be_read(aris: Aris, scripted: Scripted) -> None:
    scripted()
    result = aris("chat", input="/image none.png\nQ?\n")
    assert result.exit_code == 1 and "none.png" in result.stderr and result.stdout == ""


SCHEMA = {
    "type": "object",
    "properties": {"effusion": {"type": "boolean"}, "side": {"enum": ["left", "right"]}},
    "required": ["effusion", "side"],
    "additionalProperties": False,
}


def test_ask_holds_the_answer_to_a_form(aris: Aris, tiny_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    file.write_text(json.dumps(SCHEMA))
    result = aris("ask", "-m", tiny_model, "Effusion?", "--json-schema", file)
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert set(answer) == {"effusion", "side"} and answer["side"] in ("left", "right")
    result = aris("ask", "-m", tiny_model, "Effusion?", "--choice", "yes", "--choice", "no", "--json")
    assert json.loads(result.stdout)["answer"] in ("yes", "no")
    result = aris("ask", "-m", tiny_model, "How many?", "--regex", "[0-9]{2} mm")
    assert re.fullmatch("[0-9]{2} mm\n", result.stdout)


def test_ask_refuses_a_wrong_form_in_one_line(aris: Aris, scripted: Scripted, tmp_path: Path) -> None:
    scripted()
    file = tmp_path / "schema.json"
    for given, said in (
        (("--json-schema", file), "schema.json"),
        (("--regex", "("), "unclosed"),
        (("--choice", ""), "empty"),
    ):
        result = aris("ask", "Why?", *given)
        assert result.exit_code == 1 and result.stdout == ""
        assert said in result.stderr and len(result.stderr.strip().splitlines()) == 1
    file.write_text('{"not": {}}')
    assert "not supported: not" in aris("ask", "Why?", "--json-schema", file).stderr
    assert aris("ask", "Why?", "--regex", "a", "--choice", "b").exit_code == 2
