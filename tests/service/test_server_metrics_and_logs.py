"""What operators see: figures that add up, and logs without a word of what was asked or answered."""

from __future__ import annotations

import logging
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from serving import Served, picture, serving, user, wait_for

from aris.backends import NativeBackend, Reply, Usage
from aris.errors import ModelError
from aris.service.metrics import Metrics

SECRET = "Erika Mustermann 1953"


def figures(served: Served) -> dict[str, float]:
    text = httpx2.get(f"{served.url}/metrics", timeout=60).text
    return {
        "|".join([sample.name, *(f"{k}={v}" for k, v in sorted(sample.labels.items()))]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_figures_add_up(backend: NativeBackend) -> None:
    with serving(backend) as up, up.http() as http:
        for stream in (False, True):
            body = {"messages": user(picture(), "x"), "max_tokens": 5, "temperature": 0, "n": 2, "stream": stream}
            assert http.post("/v1/chat/completions", json=body).status_code == 200
        http.post("/v1/chat/completions", json={})
        http.get(f"/v1/models/{SECRET}")
        http.get(f"/{SECRET}")
        found = figures(up)
    assert found["aris_answers_total|outcome=length"] == 4
    assert found["aris_completion_tokens_total"] == 20
    assert found["aris_images_total"] == 4
    assert found["aris_time_to_first_token_seconds_count"] == 4
    assert found["aris_answer_seconds_count"] == 4
    assert found["aris_tokens_per_second"] == 2.0  # 20 tokens over ten seconds
    assert found["aris_engine_running"] == found["aris_engine_waiting"] == 0
    assert 0 <= found["aris_engine_cache_usage_ratio"] <= 1
    assert found["aris_engine_prefix_cache_queries_total"] >= found["aris_engine_prefix_cache_hits_total"] > 0
    assert found["aris_http_requests_total|route=/v1/chat/completions|status=200"] == 2
    assert found["aris_http_requests_total|route=/v1/chat/completions|status=400"] == 1
    assert found["aris_http_requests_total|route=/v1/models/{name}|status=404"] == 1
    assert found["aris_http_requests_total|route=other|status=404"] == 1
    assert not any("Mustermann" in name for name in found)


def test_logs_hold_no_words(backend: NativeBackend, caplog: pytest.LogCaptureFixture) -> None:
    # As the command configures them, the loggers don't propagate; here they must, to be seen.
    for name in ("aris", "uvicorn"):
        logging.getLogger(name).propagate = True
    with caplog.at_level(logging.DEBUG), serving(backend) as up, up.http() as http:
        for body in (
            {"messages": user(SECRET), "max_tokens": 3},
            {"messages": user(SECRET), "max_tokens": 3, "stream": True},
            {"messages": [{"role": SECRET, "content": SECRET}]},
            {"messages": user({"type": "image_url", "image_url": {"url": SECRET}})},
            {"model": SECRET, "messages": user("x")},
        ):
            http.post("/v1/chat/completions", json=body)
        http.post("/v1/completions", json={"prompt": SECRET, "echo": True})
        http.post("/v1/completions", content=SECRET, headers={"Content-Type": "application/json"})
        http.get(f"/v1/models?name={SECRET}", headers={"Authorization": f"Bearer {SECRET}"})
        http.get(f"/v1/models/{SECRET}")
        http.request("GET", f"/{SECRET}")
    ours = [record for record in caplog.records if record.name.startswith(("aris", "uvicorn", "asyncio"))]
    assert any(record.name == "aris.access" for record in ours)
    assert not [each.getMessage() for each in ours if "Mustermann" in each.getMessage() or each.exc_info]


def test_a_defect_is_a_plain_500(
    backend: NativeBackend, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside and outside of a stream: no internals for the caller, no words for the log."""

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError(f"tensor of {SECRET} at /some/where")

    logging.getLogger("aris").propagate = True
    with caplog.at_level(logging.INFO), serving(backend) as up, up.http() as http:
        monkeypatch.setattr(backend, "streams", broken)
        body = {"messages": user(SECRET), "max_tokens": 3}
        response = http.post("/v1/chat/completions", json=body)
        monkeypatch.undo()
        assert response.status_code == 500
        error = response.json()["error"]
        assert error["type"] == "server_error" and "Mustermann" not in error["message"]
        assert "RuntimeError" not in error["message"] and "/some" not in error["message"]
        found = [record.getMessage() for record in caplog.records if record.name == "aris.service"]
        (line,) = found
        assert "RuntimeError" in line and "Mustermann" not in line and "/some" not in line
        # The id joins the two.
        assert error["message"].rpartition(" ")[2] in line
        assert http.post("/v1/chat/completions", json=body).status_code == 200
        assert figures(up)["aris_answers_total|outcome=failed"] == 1


def test_a_failure_in_mid_stream_is_an_event(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = served.api.backend
    real = backend.streams

    def failing(*args: Any, **keywords: Any) -> Any:
        (stream,) = real(*args, **keywords)
        segments = stream.segments

        def some() -> Any:
            for count, segment in enumerate(segments()):
                if count == 2:
                    raise ModelError("cpu: out of memory; use a smaller model")
                yield segment

        stream.segments = some  # type: ignore[method-assign]
        return [stream]

    monkeypatch.setattr(backend, "streams", failing)
    with served.http() as http:
        body = {"messages": user("x"), "max_tokens": 2000, "temperature": 0, "stream": True}
        response = http.post("/v1/chat/completions", json=body)
        events = [line[6:] for line in response.text.splitlines() if line.startswith("data: ")]
        assert response.status_code == 200 and events[-1] == "[DONE]"
        assert '"server_error"' in events[-2] and "memory" not in events[-2]
        body["stream"] = False
        assert http.post("/v1/chat/completions", json=body).status_code == 500
    # The caller may have its answer a moment before the writer has closed its stream.
    wait_for(lambda: served.api.dispatcher.active == 0)


def test_counting_for_nobody_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that nobody scrapes for months holds the answers of the last seconds, not all of them."""
    now = [0.0]
    monkeypatch.setattr("aris.service.metrics.time.monotonic", lambda: now[0])
    metrics = Metrics(dict)
    for _ in range(1000):
        now[0] += 1.0
        metrics.answered(Reply("", None, "stop", Usage(1, 1, 0)))
    assert len(metrics._recent) <= 11
    assert b"aris_tokens_per_second 1.1" in metrics.exposition()
