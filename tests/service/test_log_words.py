"""No word of a request reaches a log: not ours, not another library's, whatever fails."""

from __future__ import annotations

import io
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from serving import Served, serving, user

from aris.backends import NativeBackend
from aris.errors import ModelError
from aris.faults import described
from aris.service.http.logs import Sparing, _OneLine

SECRET = "Mustermann"
ENDLESS = {"type": "array", "items": {"$ref": "#/$defs/a"}, "minItems": 1}
DEEP: dict[str, Any] = {"$defs": {"a": ENDLESS}, "$ref": "#/$defs/a"}


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """All records of all libraries, as a server writes them, from DEBUG on."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(_OneLine())
    loggers = [logging.getLogger(name) for name in ("", "aris", "uvicorn", "asyncio")]
    before = [(each.level, each.propagate) for each in loggers]
    for each in loggers:
        each.setLevel(logging.DEBUG)
        each.propagate = True
    loggers[0].addHandler(handler)
    yield out
    loggers[0].removeHandler(handler)
    for each, (level, propagate) in zip(loggers, before, strict=True):
        each.setLevel(level)
        each.propagate = propagate


FORMS: list[dict[str, Any]] = [
    {"guided_json": {"$ref": "#", "title": SECRET}},
    {"guided_json": {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}},
    {"guided_json": DEEP},
    {"guided_json": {"type": "object", "properties": {SECRET: {"$ref": "#"}}, "required": [SECRET]}},
    {"guided_json": {"type": "string", "pattern": SECRET + "[^\\s\\S]"}},
    {"guided_json": {SECRET: {}, "not": {"const": SECRET}}},
    {"guided_regex": r"[^\s\S]"},
    {"guided_regex": SECRET + r"[^\s\S]"},
    {"guided_regex": "(" + SECRET},
    {"guided_regex": f"({SECRET}{{1000}}){{1000}}"},
    {"guided_grammar": f"start: {SECRET.lower()}"},
    {"guided_grammar": f'start: "{SECRET}" start'},
    {"guided_grammar": f"root ::= ( {SECRET}"},
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_a_form_that_cannot_be_met_is_the_callers_fault(
    served: Served, logged: io.StringIO, form: dict[str, Any], stream: bool
) -> None:
    """It was a 500, and the log held llguidance's state with the answer's words."""
    with served.http() as http:
        response = http.post(
            "/v1/chat/completions",
            json={"messages": user(SECRET), "max_tokens": 400, "temperature": 0, "stream": stream, **form},
        )
    if response.status_code == 200 and stream:
        assert '"server_error"' not in response.text
    elif response.status_code == 200:
        assert response.json()["choices"][0]["finish_reason"] == "length"  # it could be followed as far as it went
    else:
        assert response.status_code == 400 and response.json()["error"]["type"] == "invalid_request_error"
    assert SECRET not in logged.getvalue() and "failed" not in logged.getvalue()


def test_the_three_of_the_report_are_400(served: Served) -> None:
    for form in ({"guided_json": {"$ref": "#"}}, {"guided_json": DEEP}, {"guided_regex": r"[^\s\S]"}):
        with served.http() as http:
            body = {"messages": user("x"), "max_tokens": 200, "temperature": 0, **form}
            assert http.post("/v1/chat/completions", json=body).status_code == 400


def test_nothing_that_is_sent_is_logged(backend: NativeBackend, logged: io.StringIO) -> None:
    with serving(backend) as up, up.http() as http:
        for body in (
            {"messages": user({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{SECRET}"}})},
            {"messages": user(SECRET), SECRET: 1},
            {"messages": user(SECRET), "model": SECRET},
            {"messages": user(SECRET), "stop": {SECRET: SECRET}},
            {"messages": user(SECRET), "tools": [{"type": "function", "function": {"name": f"{SECRET} x"}}]},
        ):  # fmt: skip
            assert http.post("/v1/chat/completions", json=body).status_code in (400, 404)
        http.get(f"/v1/models?q={SECRET}")
        http.post(f"/{SECRET}", content=SECRET)
        http.post("/v1/completions", content=f'{{"{SECRET}', headers={"Content-Type": "application/json"})
    assert "POST /v1/chat/completions 400" in logged.getvalue()
    ours = [line for line in logged.getvalue().splitlines() if SECRET in line]
    assert ours == []


def test_exceptions_are_described_by_kind_and_place() -> None:
    def broken() -> None:
        raise ValueError(SECRET)

    try:
        broken()
    except ValueError as error:
        assert described(error) == "ValueError"  # not of our own code, so no place
    try:
        from aris.backends import Grammar

        Grammar.choice([])
    except ModelError as error:
        line = described(error)
    assert line.startswith("ConstraintError: choice: give") and " in choice (masks.py:" in line


def written(record: logging.LogRecord) -> str:
    return _OneLine().format(record)


def test_other_libraries_are_logged_without_their_words() -> None:
    try:
        raise KeyError(SECRET)
    except KeyError:
        info = sys.exc_info()
    record = logging.LogRecord("httpx", logging.ERROR, "/x/y/client.py", 7, "GET %s\nfailed", (SECRET,), info)
    line = written(record)
    assert SECRET not in line and "\n" not in line and line.endswith("httpx error (client.py:7): KeyError")
    ours = logging.LogRecord("aris.service", logging.ERROR, "/x/z.py", 7, "it failed", (), info)
    assert written(ours).endswith(" it failed: KeyError")


def test_a_flood_of_lines_is_counted() -> None:
    sparing, now = Sparing(burst=3, a_second=1.0), 1000.0

    def passes(route: str, status: int, at: float) -> str | None:
        record = logging.LogRecord("aris.access", 20, "a.py", 1, "%s %s %d %.3f s", ("GET", route, status, 0.1), None)
        record.created = at
        return record.getMessage() if sparing.filter(record) else None

    assert [passes("/a", 200, now) is not None for _ in range(10)] == [True] * 3 + [False] * 7
    assert passes("/b", 200, now) and passes("/a", 404, now)  # other lines are not of that kind
    assert passes("/a", 200, now + 2) == "GET /a 200 0.100 s (7 lines like this were left out before)"


def test_warnings_of_python_go_the_same_way(logged: io.StringIO, capfd: pytest.CaptureFixture[str]) -> None:
    logging.captureWarnings(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(True)
            warnings.warn(f"Invalid value for VR UI: {SECRET}", UserWarning, stacklevel=1)
    finally:
        logging.captureWarnings(False)
    assert SECRET not in logged.getvalue() + "".join(capfd.readouterr())
