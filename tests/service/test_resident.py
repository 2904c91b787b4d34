"""Commands that use the user's resident server: the same answers as from a model of their own, come what may."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import aris
from aris.backends import Backend, GenerationOptions, Grammar, NativeBackend, WhiteBox
from aris.backends.resident import address, wire
from aris.backends.resident.address import Wanted
from aris.backends.resident.backend import ServedBackend, find_server
from aris.checkpoints import pull
from aris.errors import ModelError, PromptError
from aris.prompting import Image
from aris.service import resident as serving_end
from aris.service.resident import ResidentServer
from films import filmlike

PICTURE = Image(np.arange(48 * 40, dtype=np.uint16).astype(np.uint8).reshape(48, 40))
QUESTION = [aris.user(PICTURE, "Are the lungs clear?")]
SHORT = GenerationOptions(max_tokens=20)


@pytest.fixture
def runtime(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime folder of its own, with a short name: a socket's path has 108 bytes at most."""
    place = tmp_path_factory.mktemp("r")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place))
    monkeypatch.delenv(address.ENVIRONMENT, raising=False)
    return place


@pytest.fixture
def wanted(endless_folder: Path) -> Wanted:
    return Wanted(str(endless_folder), "float32", "cpu")


@pytest.fixture
def server(runtime: Path, backend: NativeBackend, wanted: Wanted) -> Iterator[ResidentServer]:
    made = ResidentServer(backend, wanted.terms())
    made.start()
    yield made
    made.close()


def never() -> Backend:
    pytest.fail("the model was loaded here")


def found(wanted: Wanted, load: Callable[[], Backend] = never) -> ServedBackend:
    model = find_server(wanted, load)
    assert model is not None
    return model


def test_every_call_gives_what_the_model_itself_gives(
    server: ResidentServer, backend: NativeBackend, wanted: Wanted
) -> None:
    model = found(wanted)
    assert isinstance(model, WhiteBox)
    for name in ("name", "spec", "calibration", "changes", "reads_images"):
        assert getattr(model, name) == getattr(backend, name)

    def both(call: Callable[[Any], Any]) -> tuple[Any, Any]:
        """From the same state of the engine: what is kept of a prompt changes the last bits on some processors."""
        results = []
        for each in (model, backend):
            backend.forget_images()
            results.append(call(each))
        return results[0], results[1]

    options = GenerationOptions(max_tokens=20, top_logprobs=2, stop=("\x00",))
    one, two = both(lambda each: each.generate(QUESTION, options))
    assert (one.text, one.thinking, one.finish_reason, one.usage, one.logprobs) == (
        two.text, two.thinking, two.finish_reason, two.usage, two.logprobs
    )  # fmt: skip
    stream = model.stream(QUESTION, SHORT)
    assert "".join(stream) == stream.reply.text
    asked = [("Yes or no?", ("Yes", "No")), ("Which?", ("lungs", "No"))]
    formed = GenerationOptions(max_tokens=20, grammar=Grammar.choice(["Yes", "No"]))
    calls: list[Callable[[Any], Any]] = [
        lambda each: each.generate(QUESTION, SHORT).text,
        lambda each: each.score(QUESTION, ("Yes", "No")),
        lambda each: each.score_many(QUESTION, asked),
        lambda each: each.token_logprobs(QUESTION, "No lungs"),
        lambda each: each.generate(QUESTION, formed).text,
    ]
    for call in calls:
        one, two = both(call)
        assert one == two
    there, here = both(lambda each: each.relevance(QUESTION, "Yes", against="No"))
    assert (here.frames, here.images, here.score, here.method) == (
        there.frames, there.images, there.score, there.method
    )  # fmt: skip
    assert all(np.array_equal(a, b) and b.dtype == np.float32 for a, b in zip(here.grids, there.grids, strict=True))


def test_errors_are_those_of_the_model(server: ResidentServer, wanted: Wanted) -> None:
    model = found(wanted)
    with pytest.raises(PromptError, match="must end with a user's turn"):
        model.stream([aris.assistant("No")])
    with pytest.raises(PromptError, match="begins with white space"):
        model.score(QUESTION, (" Yes",))
    with pytest.raises(ModelError, match="not trained to think"):
        model.generate(QUESTION, GenerationOptions(thinking=True))


def test_a_sampled_answer_can_be_repeated(server: ResidentServer, backend: NativeBackend, wanted: Wanted) -> None:
    options = GenerationOptions(max_tokens=20, temperature=1.0, seed=7)
    assert found(wanted).generate(QUESTION, options).text == backend.generate(QUESTION, options).text


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_server_that_dies_in_the_middle_is_not_noticed(
    server: ResidentServer, backend: NativeBackend, wanted: Wanted, monkeypatch: pytest.MonkeyPatch, temperature: float
) -> None:
    sent = 0
    real = wire.send

    def dying(connection: socket.socket, value: Any) -> None:
        nonlocal sent
        if threading.current_thread().name == "aris-resident-call" and type(value).__name__ == "Segment":
            sent += 1
            if sent == 5:
                connection.close()
                raise wire.Gone
        real(connection, value)

    monkeypatch.setattr(serving_end.wire, "send", dying)
    loaded = []

    def load() -> Backend:
        loaded.append(1)
        return backend

    model = found(wanted, load)
    options = GenerationOptions(max_tokens=30, temperature=temperature)
    stream = model.stream(QUESTION, options)
    text = "".join(stream)
    assert loaded == [1] and sent == 5 and stream.reply.text == text
    assert stream.reply.finish_reason in ("length", "stop")  # a drawn answer may end
    if not temperature:
        assert text == backend.generate(QUESTION, options).text
    server.close()
    assert model.score(QUESTION, ("Yes", "No")) == backend.score(QUESTION, ("Yes", "No")) and loaded == [1]


def test_a_server_that_fails_or_is_busy_leaves_it_to_the_command(
    server: ResidentServer, backend: NativeBackend, wanted: Wanted, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aris.engine import EngineBusy

    expected = backend.score(QUESTION, ("Yes", "No"))
    real = backend.score
    for error in (EngineBusy("busy"), RuntimeError("patient's words")):
        model = found(wanted, lambda: backend)

        def score(*args: Any, failure: Exception = error) -> list[float]:
            if threading.current_thread().name == "aris-resident-call":
                raise failure
            return real(*args)

        monkeypatch.setattr(backend, "score", score)
        assert model.score(QUESTION, ("Yes", "No")) == expected


@pytest.mark.parametrize(
    "other",
    [
        {"dtype": "bfloat16"},
        {"device": "auto"},
        {"quantize": "int8"},
        {"name": "aris-nano"},
        {"name": "/nowhere"},
    ],
)
def test_a_server_with_another_model_or_setting_is_not_used(
    server: ResidentServer, wanted: Wanted, other: dict[str, str]
) -> None:
    facts = {"name": wanted.name, "dtype": wanted.dtype, "device": wanted.device, "quantize": None} | other
    assert find_server(Wanted(**facts), never) is None  # type: ignore[arg-type]


def test_a_server_of_another_build_or_instruction_set_is_not_used(
    server: ResidentServer, wanted: Wanted, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_server(wanted, never) is not None
    with monkeypatch.context() as changed:
        changed.setenv("ATEN_CPU_CAPABILITY", "default")
        assert find_server(wanted, never) is None
    with monkeypatch.context() as changed:
        changed.setattr(address, "build", lambda: "another")
        assert find_server(wanted, never) is None


def test_a_model_whose_files_changed_since_is_not_the_servers(
    runtime: Path, backend: NativeBackend, tmp_path: Path
) -> None:
    import tiny_checkpoint

    folder = tiny_checkpoint.save(tmp_path / "m")
    wanted = Wanted(str(folder))
    server = ResidentServer(backend, wanted.terms())
    server.start()
    try:
        assert find_server(wanted, never) is not None
        os.utime(folder / "model.safetensors", (1, 1))
        assert find_server(wanted, never) is None
    finally:
        server.close()


def test_a_server_of_the_same_files_without_their_name_is_not_used(
    runtime: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What a named model is for, and that it is not for patients, goes with its name and not with its files."""
    import tiny_checkpoint

    folder = tiny_checkpoint.save(tmp_path / "m")
    monkeypatch.setattr(pull, "local_folder", lambda *_, **__: folder)  # as if it were the pulled one
    named, path = Wanted("medgemma-4b-it").terms(), Wanted(str(folder)).terms()
    assert named is not None and path is not None
    assert named != path
    assert named == Wanted("google/MedGemma-4b-it").terms()


def test_every_option_reaches_the_server(server: ResidentServer, backend: NativeBackend, wanted: Wanted) -> None:
    first = backend.generate(QUESTION, SHORT).text
    assert backend.generate(QUESTION, GenerationOptions(max_tokens=20, repetition_penalty=3.0)).text != first
    options = [
        {"repetition_penalty": 3.0}, {"presence_penalty": 2.0, "frequency_penalty": 2.0},
        {"logit_bias": {365: 50.0, 10: -100.0}}, {"bad_words": ("No", "lungs")}, {"min_tokens": 10},
        {"stop_token_ids": (365,), "include_stop": True, "logit_bias": {365: 5.0}}, {"ignore_eos": True},
    ]  # fmt: skip
    for each in options:
        asked = GenerationOptions(max_tokens=20, **each)  # type: ignore[arg-type]
        there, here = found(wanted).generate(QUESTION, asked), backend.generate(QUESTION, asked)
        assert (there.text, there.finish_reason, there.stop_reason) == (here.text, here.finish_reason, here.stop_reason)


def test_nothing_goes_to_a_process_of_another_user(
    server: ResidentServer, wanted: Wanted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "send", lambda *_: pytest.fail("something was sent"))
    monkeypatch.setattr(address, "is_own", lambda _: False)  # as the kernel would say
    assert find_server(wanted, never) is None


def test_nor_through_a_folder_that_others_can_enter(server: ResidentServer, runtime: Path, wanted: Wanted) -> None:
    (runtime / "aris").chmod(0o755)
    assert address.folder() is None and find_server(wanted, never) is None
    (runtime / "aris").rename(runtime / "other")
    (runtime / "aris").symlink_to(runtime / "other")
    (runtime / "other").chmod(0o700)
    assert find_server(wanted, never) is None


def test_the_socket_is_the_users_alone_and_goes_with_the_server(server: ResidentServer, runtime: Path) -> None:
    assert server.path is not None and server.path.parent == runtime / "aris"
    assert (server.path.parent.stat().st_mode & 0o777, server.path.stat().st_mode & 0o777) == (0o700, 0o600)
    server.close()
    assert not server.path.exists()


def test_what_a_killed_server_left_is_cleared_away(runtime: Path, wanted: Wanted) -> None:
    place = address.folder(make=True)
    assert place is not None
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(place / "serve-1.sock"))
    left.close()
    (place / "serve-2.sock").write_text("no socket")
    assert find_server(wanted, never) is None
    assert [path.name for path in place.iterdir()] == ["serve-2.sock"]


def test_a_named_socket_is_used_and_nothing_else_is_overwritten(
    runtime: Path, backend: NativeBackend, wanted: Wanted, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = runtime / "mine"
    monkeypatch.setenv(address.ENVIRONMENT, str(named))
    named.write_text("a file of the user's")
    server = ResidentServer(backend, wanted.terms())
    server.start()
    assert server.path is None and named.read_text() == "a file of the user's"
    named.unlink()
    server.start()
    second = ResidentServer(backend, wanted.terms())
    second.start()
    try:
        assert server.path == named and second.path is None and find_server(wanted, never) is not None
        monkeypatch.setenv(address.ENVIRONMENT, "off")
        assert find_server(wanted, never) is None
    finally:
        server.close()


def test_a_client_that_talks_nonsense_harms_nothing(server: ResidentServer, wanted: Wanted) -> None:
    for nonsense in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64, (5).to_bytes(8, "little") + b"{}[]!"):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(server.path))
            client.sendall(nonsense)
            client.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError):
                assert client.recv(100) == b""
    assert find_server(wanted, never) is not None


def test_a_command_imports_no_pytorch(
    server: ResidentServer, runtime: Path, tmp_path: Path, endless_folder: Path
) -> None:
    import PIL.Image

    film = tmp_path / "film.png"
    PIL.Image.fromarray(filmlike()).save(film)
    code = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('torch', 'fastapi', 'transformers', 'pydicom'):\n"
        "            raise RuntimeError(name + ' was imported')\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from aris.cli import main\n"
        "main()\n"
    )
    options = ["--model", str(endless_folder), "--dtype", "float32", "--device", "cpu", "--json"]
    environment = {name: value for name, value in os.environ.items() if name != address.ENVIRONMENT}
    done = subprocess.run(
        [sys.executable, "-c", code, "ask", "-i", str(film), "Are the lungs clear?", "--max-tokens", "5", *options],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["answer"]


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.integers() | st.text(), inner),
    max_leaves=10,
))  # fmt: skip
def test_values_arrive_as_they_were_sent(value: Any) -> None:
    one, two = socket.socketpair()
    with one, two:
        sender = threading.Thread(target=wire.send, args=(one, value))
        sender.start()
        assert wire.receive(two) == value
        sender.join()


def test_objects_of_other_classes_are_not_sent() -> None:
    one, two = socket.socketpair()
    with one, two, pytest.raises(TypeError):
        wire.send(one, Path("/"))
