"""The remote backend against our own server: the same words and scores as here, and errors in one line."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from serving import Served, serving, wait_for

import aris
from aris import tasks
from aris.backends import GenerationOptions, NativeBackend
from aris.backends.remote.backend import RemoteBackend
from aris.errors import ModelError, PromptError
from films import filmlike

# A server's log-probabilities leave the image markers out, scores do not: in a tiny vocabulary that shows.
NORM = 1e-2


@pytest.fixture
def remote(served: Served) -> Iterator[RemoteBackend]:
    backend = RemoteBackend(served.url)
    yield backend
    backend.close()


def test_the_same_words(remote: RemoteBackend, backend: NativeBackend) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    for messages in (
        [aris.user("Yes or No?")],
        [aris.system("Be brief."), aris.user("Hi"), aris.assistant("Yes"), aris.user("lungs")],
        [aris.user(picture, "pneumonia", picture[:, ::-1])],
    ):
        options = GenerationOptions(max_tokens=15, top_logprobs=2)
        there, here = remote.generate(messages, options), backend.generate(messages, options)
        assert (there.text, there.thinking, there.finish_reason) == (here.text, here.thinking, here.finish_reason)
        assert there.usage == here.usage
        assert there.logprobs is not None and here.logprobs is not None
        assert [each.logprob for each in there.logprobs] == pytest.approx(
            [each.logprob for each in here.logprobs], abs=1e-3
        )
        assert there.timings.total_s >= there.timings.first_token_s > 0


def test_the_same_sampling(remote: RemoteBackend, backend: NativeBackend) -> None:
    options = GenerationOptions(max_tokens=12, temperature=1.5, top_k=40, top_p=0.9, min_p=0.01, seed=7, stop=("Z",))
    messages = [aris.user("Yes or No?")]
    assert remote.generate(messages, options).text == backend.generate(messages, options).text


def test_the_same_scores(remote: RemoteBackend, backend: NativeBackend) -> None:
    def likely(question: str) -> list[str]:
        first = backend.generate([aris.user(question)], GenerationOptions(max_tokens=1, top_logprobs=20)).logprobs
        assert first is not None
        found = [token for token, _ in first[0].top if len(token) == 1 and token.isascii() and token.isalnum()]
        assert found
        return found

    question = "Yes or No?"
    choices = likely(question)
    assert remote.score([aris.user(question)], choices) == pytest.approx(
        backend.score([aris.user(question)], choices), abs=NORM
    )
    questions = [("No?", likely("HiNo?")), ("Yes?", likely("HiYes?"))]
    for there, here in zip(
        remote.score_many([aris.user("Hi")], questions), backend.score_many([aris.user("Hi")], questions), strict=True
    ):
        assert there == pytest.approx(here, abs=NORM)


def test_any_answer_is_scored_as_here(remote: RemoteBackend, backend: NativeBackend, served: Served) -> None:
    """Answers of several tokens, far from the likeliest, with spellings of bytes and of control tokens, and images."""
    choices = ["lungs pneumonia", "No, the lungs: (12)", "naïve ∅", "<end_of_turn>x", "Z9#\n\nq"]
    picture = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    for messages in (
        [aris.user("Yes or No?")],
        [aris.system("Be brief."), aris.user("Hi"), aris.assistant("Yes"), aris.user("lungs")],
        [aris.user(picture, "pneumonia", picture[:, ::-1])],
    ):
        there, here = remote.score(messages, choices), backend.score(messages, choices)
        assert there == pytest.approx(here, abs=1e-3) and min(here) < -20
    # The image and the question were read once; for each answer only its own tokens are read, and looked at.
    before = served.api.engine_facts()
    remote.score(messages, choices[:1])
    after = served.api.engine_facts()
    assert after["images_encoded"] == before["images_encoded"]
    tokens = len(backend.tokenizer.encode(choices[0]))
    assert after["prompt_tokens"] - before["prompt_tokens"] <= 2 * tokens + 3


def test_a_reply_goes_on_from_what_was_begun(remote: RemoteBackend, backend: NativeBackend) -> None:
    messages = [aris.user("Yes or No?"), aris.assistant("No, the ")]
    options = GenerationOptions(max_tokens=8, continue_final_message=True)
    here = backend.generate(messages, options)
    assert remote.generate(messages, options).text == here.text
    prompt = backend.prompts(messages, continue_final_message=True)
    assert prompt.text.endswith("<start_of_turn>model\nNo, the ") and here.usage.prompt_tokens == len(prompt.token_ids)
    for wrong in (messages[:1], []):
        for each in (remote, backend):
            with pytest.raises(PromptError, match="assistant"):
                each.generate(wrong, options)


def test_the_servers_form_of_prompts_log_probabilities(served: Served, backend: NativeBackend) -> None:
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": "Yes or No?"}, {"role": "assistant", "content": "lungs"}],
        "max_tokens": 1, "prompt_logprobs": 2, "add_generation_prompt": False, "continue_final_message": True,
    }  # fmt: skip
    prompt = backend.prompts([aris.user("Yes or No?"), aris.assistant("lungs")], continue_final_message=True)
    wanted = backend.engine.prompt_logprobs(prompt.token_ids, 2)
    with served.http() as http:
        made = http.post("/v1/chat/completions", json=body).json()
        assert made["prompt_logprobs"][0] is None and len(made["prompt_logprobs"]) == len(prompt.token_ids)
        for place, step in zip(made["prompt_logprobs"][1:], wanted, strict=True):
            own = place[str(step.token_id)]
            assert own["logprob"] == pytest.approx(step.logprob, abs=1e-3)
            likeliest = [token for token, _ in step.top_logprobs]
            assert {int(token) for token in place} == {step.token_id, *likeliest}
            assert own["rank"] == (likeliest.index(step.token_id) + 1 if step.token_id in likeliest else None)
        assert made["prompt_logprobs"][-1][str(prompt.token_ids[-1])]["decoded_token"] == "lungs"
        later = http.post("/v1/chat/completions", json=body | {"logprob_start_len": len(prompt.token_ids) - 1}).json()
        assert later["prompt_logprobs"][:-1] == [None] * (len(prompt.token_ids) - 1)
        assert later["prompt_logprobs"][-1] == made["prompt_logprobs"][-1]
        without = http.post("/v1/chat/completions", json={"messages": body["messages"][:1], "max_tokens": 1}).json()
        assert without["prompt_logprobs"] is None
        for wrong in (
            {"stream": True}, {"add_generation_prompt": True}, {"continue_final_message": False},
            {"prompt_logprobs": 21},
            {"messages": body["messages"][:1]}, {"logprob_start_len": -1},
        ):  # fmt: skip
            assert http.post("/v1/chat/completions", json=body | wrong).status_code == 400


def test_vllms_way_of_reading_an_answer_back() -> None:
    some = {"content": [{"token": "Hm", "logprob": -0.1, "top_logprobs": []}]}
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}\n\n'
    first = (200, {}, usage + chunks({"content": "Hm"}, logprobs=some))
    places = [None, *({str(at): {"logprob": -at / 2, "rank": 9, "decoded_token": "x"}} for at in range(1, 6))]
    read = (200, {}, json.dumps({"choices": [], "prompt_logprobs": places}).encode())
    with endpoint(first, read) as (url, asked):
        assert RemoteBackend(url).score([aris.user("x")], ["Yes", "No"]) == [-1.5 - 2.0 - 2.5] * 2
    body = json.loads(asked[1])
    assert body["messages"][-1] == {"role": "assistant", "content": "Yes"} and "stream" not in body
    assert (body["prompt_logprobs"], body["continue_final_message"], body["add_generation_prompt"]) == (0, True, False)
    assert "logprob_start_len" not in body  # an unknown field there
    # One that does not know these fields is made to write the answer instead, and not asked so again.
    forced = (200, {}, chunks({"content": "Yes"}, logprobs={"content": [{"token": "Yes", "logprob": -3.0}]}))
    for ignorant in ((200, {}, b'{"choices": []}'), (400, {}, b'{"error": {"message": "unknown field"}}')):
        with endpoint(first, ignorant, forced) as (url, asked):
            assert RemoteBackend(url).score([aris.user("x")], ["Yes", "Yes"]) == [-3.0, -3.0]
        assert len(asked) == 4


def test_an_answer_that_is_written_because_it_was_asked_for() -> None:
    """vLLM reports what the model gave the forced tokens: their sum is the score."""
    some = {"content": [{"token": "Hm", "logprob": -0.1, "top_logprobs": [{"token": "Yes", "logprob": -3.0}]}]}
    forced = {"content": [{"token": t, "logprob": p} for t, p in (("N", -4.0), ("o", -0.5), ("<end_of_turn>", -0.2))]}
    answers = [
        (200, {}, chunks({"content": "Hm"}, logprobs=some)),
        (200, {}, chunks({"content": "No"}, logprobs=forced)),
    ]
    with endpoint(*answers) as (url, asked):
        assert RemoteBackend(url).score([aris.user("x")], ["Yes", "No"]) == [-3.0, -4.5]
    assert json.loads(asked[1])["structured_outputs"] == {"choice": ["No"]}


def test_tasks_run_on_it_and_say_what_is_missing(remote: RemoteBackend, tmp_path: Any) -> None:
    import PIL.Image

    path = tmp_path / "film.png"
    PIL.Image.fromarray(filmlike()).save(path)
    answer = tasks.ask(remote, "Yes or No?", [path], options=GenerationOptions(max_tokens=5))
    assert answer.model == remote.name and answer.usage["images"] == 1
    draft = tasks.draft(remote, path, max_tokens=10)
    assert draft.text and draft.draft
    found = tasks.findings(remote, path, ["pneumonia"])
    assert found.findings[0].probability is None and "declares no calibrated findings" in " ".join(found.warnings)


def test_closing_frees_the_sequence_there(remote: RemoteBackend, served: Served) -> None:
    stream = remote.stream([aris.user("x")], GenerationOptions(max_tokens=40_000))
    next(stream)
    assert served.api.dispatcher.active == 1
    stream.close()
    assert stream.reply.finish_reason == "aborted" and stream.reply.text
    wait_for(lambda: served.api.dispatcher.active == 0)


def test_calibration_comes_with_our_own_server(backend: NativeBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "calibration", {"findings": {}})
    with serving(backend) as up:
        assert RemoteBackend(up.url).calibration == {"findings": {}}


def test_keys(backend: NativeBackend) -> None:
    with serving(backend, api_key="right-key") as up:
        assert RemoteBackend(up.url, api_key="right-key").name == up.name
        for key in (None, "wrong-key"):
            with pytest.raises(ModelError, match="ARIS_BACKEND_API_KEY") as caught:
                RemoteBackend(up.url, api_key=key)
            assert "wrong-key" not in str(caught.value)


def test_what_the_server_refuses_is_one_line(served: Served, remote: RemoteBackend) -> None:
    with pytest.raises(ModelError, match="does not serve 'other'"):
        RemoteBackend(served.url, "other")
    with pytest.raises(PromptError, match=r"60,000|59,999"):
        remote.generate([aris.user("x" * 70_000)])
    with pytest.raises(PromptError, match="the user's turn"):
        remote.stream([aris.user("x"), aris.assistant("y")])


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:80", "ftp://x/", "http://", "http://u:p@127.0.0.1/", "http://[", "x y"]
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ModelError) as caught:
        RemoteBackend(url)
    assert "\n" not in str(caught.value) and "u:p" not in str(caught.value)


@contextmanager
def endpoint(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[tuple[str, list[str]]]:
    """A scripted endpoint: it lists one model, then gives each answer once, the last one for ever."""
    asked: list[str] = []
    left = list(answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._give(200, {}, json.dumps({"data": [{"id": "m"}]}).encode())

        def do_POST(self) -> None:
            asked.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self._give(*(left.pop(0) if len(left) > 1 else left[0]))

        def _give(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
        finally:
            server.shutdown()


def chunks(*deltas: dict[str, Any], finish: str | None = "stop", **more: Any) -> bytes:
    events = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish} | more]})
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in events) + b"data: [DONE]\n\n"


def test_thoughts_of_other_servers() -> None:
    for delta in ({"reasoning_content": "hm"}, {"reasoning": "hm"}, {"content": "<unused94>thought\nhm<unused95>"}):
        with endpoint((200, {}, chunks(delta, {"content": "yes"}))) as (url, _):
            reply = RemoteBackend(url).generate([aris.user("x")])
        assert (reply.thinking, reply.text, reply.finish_reason) == ("hm", "yes", "stop")


def test_a_text_may_hold_signs_that_end_lines_elsewhere() -> None:
    """JSON need not escape them, and pydantic, so our server and vLLM, does not."""
    text = "one\u2028two\u2029three\x85four\x7f\u00e9"
    body = json.dumps({"choices": [{"delta": {"content": text}, "finish_reason": "stop"}]}, ensure_ascii=False)
    for end in ("\n\n", "\r\n\r\n", "\r\r"):
        with endpoint((200, {}, f": ping{end}data: {body}{end}data: [DONE]{end}".encode())) as (url, _):
            assert RemoteBackend(url).generate([aris.user("x")]).text == text


def test_what_other_servers_call_the_end() -> None:
    reasons = {"eos_token": "stop", "stop_sequence": "stop", "max_tokens": "length", "MAX_TOKENS": "length"}
    for reason, ours in reasons.items():
        with endpoint((200, {}, chunks({"content": "yes"}, finish=reason))) as (url, _):
            assert RemoteBackend(url).generate([aris.user("x")]).finish_reason == ours
    # Some say "" until there is one, and some end the stream without [DONE].
    early = b'data: {"choices": [{"delta": {"content": "ye"}, "finish_reason": ""}]}\n\n'
    whole = early + chunks({"content": "s"}, finish="length").removesuffix(b"data: [DONE]\n\n")
    with endpoint((200, {}, whole)) as (url, _):
        reply = RemoteBackend(url).generate([aris.user("x")])
    assert (reply.text, reply.finish_reason) == ("yes", "length")
    with endpoint((200, {}, early)) as (url, _), pytest.raises(ModelError, match="before it was complete"):
        RemoteBackend(url).generate([aris.user("x")])


@pytest.mark.parametrize("reason", ["content_filter", "abort", "error"])
def test_an_answer_that_was_cut_off_is_not_taken_for_whole(reason: str) -> None:
    with endpoint((200, {}, chunks({"content": "No pneumo"}, finish=reason))) as (url, _):
        stream = RemoteBackend(url).stream([aris.user("x")])
        with pytest.raises(ModelError, match=f"cut the answer off \\({reason}"):
            list(stream)
    assert stream.reply.text == "No pneumo" and stream.reply.finish_reason == "aborted"


def test_a_busy_server_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("aris.backends.remote.client.time.sleep", pauses.append)
    odd = (503, {"Retry-After": "\xb2"}, b"{}")  # a digit to Python, and no number
    with endpoint(odd, (200, {}, chunks({"content": "yes"}))) as (url, _):
        assert RemoteBackend(url).generate([aris.user("x")]).text == "yes"
    pauses.clear()
    busy = (429, {"Retry-After": "3"}, b"{}")
    with endpoint(busy, (503, {}, b""), (200, {}, chunks({"content": "yes"}))) as (url, asked):
        assert RemoteBackend(url).generate([aris.user("x")]).text == "yes"
    assert pauses == [3.0, 1.0] and len(asked) == 3
    with endpoint(busy) as (url, asked):
        with pytest.raises(ModelError, match="busy"):
            RemoteBackend(url, retries=2).generate([aris.user("x")])
        assert len(asked) == 3


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((500, {}, b'{"error": {"message": "boom\\nboom"}}'), "boom boom"),
        ((200, {}, b"data: {\n\n"), "not JSON"),
        ((200, {}, b"data: " + b"[" * 200_000 + b"\n\n"), "not JSON"),
        ((500, {}, b"[" * 200_000), "no reason"),
        ((200, {}, b'data: {"error": {"message": "out"}}\n\ndata: [DONE]\n\n'), "out"),
        ((200, {}, b"<html></html>"), "before it was complete"),
        ((200, {}, chunks({"content": "a"})[:60]), "JSON|complete"),
        ((307, {"Location": "http://127.0.0.1:1/"}, b""), "307"),
        ((200, {"Content-Length": "5000"}, chunks({"content": "a"})[:-16]), "broke"),
    ],
)
def test_endpoints_that_fail(answer: tuple[int, dict[str, str], bytes], says: str) -> None:
    with endpoint(answer) as (url, _), pytest.raises(ModelError, match=says) as caught:
        RemoteBackend(url).generate([aris.user("x")])
    assert "\n" not in str(caught.value)


def test_scores_that_an_endpoint_cannot_give() -> None:
    with endpoint((200, {}, chunks({"content": "yes"}))) as (url, _):
        remote = RemoteBackend(url)
        with pytest.raises(ModelError, match="no log-probabilities"):
            remote.score([aris.user("x")], ["Yes", "No"])
    # One that reports certainty about what it was told to write knows nothing of the model.
    some = {"content": [{"token": "Hm", "logprob": -0.1, "top_logprobs": []}]}
    sure = {"content": [{"token": "Yes", "logprob": 0.0, "top_logprobs": []}]}
    refuses = (400, {}, b'{"error": {"message": "unknown field"}}')
    for second in ((200, {}, chunks({"content": "Yes"}, logprobs=sure)), (200, {}, chunks({"content": "Hm"})), refuses):
        with endpoint((200, {}, chunks({"content": "Hm"}, logprobs=some)), second) as (url, _):
            remote = RemoteBackend(url)
            with pytest.raises(ModelError, match="no log-probability of the answer 'Yes'"):
                remote.score([aris.user("x")], ["Yes"])


def test_nobody_there() -> None:
    with pytest.raises(ModelError, match="cannot be reached"):
        RemoteBackend("http://127.0.0.1:1", retries=0)
