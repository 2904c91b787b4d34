"""A live FHIR server, here a real one on this machine: all pages or no record."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from aris.errors import RecordError
from aris.records import Timeline, read_timeline
from aris.records.fhir.client import FhirClient
from aris.records.fhir.server import ServerReading
from fhir_resources import bundle, condition, observation, patient, request

Answer = tuple[int, dict[str, str], bytes]


class Server:
    """A FHIR server with pages of two; `twist` may answer in its place."""

    def __init__(self) -> None:
        self.resources = [patient(), *(observation(str(n), n, time=f"2020-01-0{n}") for n in range(1, 6))]
        self.resources += [condition("c", "Asthma"), request("m", "", medicationCodeableConcept=None,
                           medicationReference={"reference": "Medication/x"})]  # fmt: skip
        self.medication = {"resourceType": "Medication", "id": "x", "code": {"text": "Aspirin"}}
        self.asked: list[str] = []
        self.tokens: list[str | None] = []
        self.twist: Callable[[str, int], Answer | None] = lambda path, times: None
        self.version = "4.0.1"
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.asked.append(self.path)
                server.tokens.append(self.headers.get("Authorization"))
                status, headers, body = server.answer(self.path)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/fhir"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def answer(self, path: str) -> Answer:
        twisted = self.twist(path, self.asked.count(path))
        if twisted is not None:
            return twisted
        parts = urlsplit(path)
        name, given = parts.path.removeprefix("/fhir/"), parse_qs(parts.query)
        if name == "metadata":
            return ok({"resourceType": "CapabilityStatement", "fhirVersion": self.version})
        if name == "Medication/x":
            return ok(self.medication)
        if name.startswith("Patient/"):
            found = [r for r in self.resources if f"{r['resourceType']}/{r['id']}" == name]
            return ok(found[0]) if found else (404, {}, b"")
        assert given["patient"] == ["Patient/p"]
        every = [r for r in self.resources if r["resourceType"] == name]
        start = int(given.get("page", ["0"])[0])
        page = bundle(*every[start : start + 2], type="searchset", total=len(every))
        if start + 2 < len(every):
            page["link"] = [{"relation": "next", "url": f"{self.url}/{name}?patient=Patient/p&page={start + 2}"}]
        return ok(page)

    def read(self, **keywords: Any) -> Timeline:
        waits: list[float] = []
        self.waits = waits
        with FhirClient(self.url, sleep=waits.append, **keywords) as client:
            return ServerReading(client, "p").timelines()[0]


def ok(value: Any) -> Answer:
    return 200, {"Content-Type": "application/fhir+json"}, json.dumps(value).encode()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


def test_all_pages_of_all_types_are_read(server: Server) -> None:
    timeline = read_timeline(f"{server.url}/Patient/p", token="secret")
    assert timeline.patient.name == "Jane Roe"
    assert [m.value for m in timeline.measurements] == [1, 2, 3, 4, 5]
    assert timeline.conditions[0].concept.text == "Asthma" and timeline.medications[0].concept.text == "Aspirin"
    assert not timeline.problems and set(server.tokens) == {"Bearer secret"}
    assert len(read_timeline(server.url, patient="p")) == len(timeline)


def test_a_busy_server_is_asked_again_as_it_says(server: Server) -> None:
    def twist(path: str, times: int) -> Answer | None:
        if "Condition" in path and times == 1:
            return 429, {"Retry-After": "7"}, b""
        return (503, {}, b"") if "page=2" in path and times < 3 else None

    server.twist = twist
    assert len(server.read().measurements) == 5
    assert sorted(server.waits) == [0.5, 1.0, 7.0]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_unread_page_is_an_error(server: Server, status: int) -> None:
    server.twist = lambda path, times: (status, {}, b"") if "page=2" in path else None
    with pytest.raises(RecordError, match=f"status {status}.*not whole"):
        server.read(retries=2)
    assert sum("page=2" in path for path in server.asked) == 3


@pytest.mark.parametrize(
    ("body", "said"),
    [(b'{"resourceType": "Bundle", "entry": [', "truncated"), (b"<html>", "damaged"), (b"[]", "JSON object"),
     (b'{"resourceType": "OperationOutcome"}', "no Bundle"),
     (b'{"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": {"a": 1}}]}', "no resourceType")],
)  # fmt: skip
def test_a_damaged_page_is_an_error(server: Server, body: bytes, said: str) -> None:
    server.twist = lambda path, times: (200, {}, body) if "page=4" in path else None
    with pytest.raises(RecordError, match=said):
        server.read()


def test_a_page_cut_on_the_way_is_an_error(server: Server) -> None:
    server.twist = lambda path, times: (200, {"Content-Length": "9999"}, b'{"resource') if "page=2" in path else None
    with pytest.raises(RecordError, match=r"the connection broke|no answer in time"):
        server.read(retries=0, timeout_s=1)


def test_fewer_than_the_server_counts_is_an_error(server: Server) -> None:
    page = bundle(observation("1", 1.0), type="searchset", total=3)
    server.twist = lambda path, times: ok(page) if "Observation" in path else None
    with pytest.raises(RecordError, match="counts 3 of Observation and gave 1"):
        server.read()


def test_pages_elsewhere_and_in_circles_are_refused(server: Server) -> None:
    def to(url: str) -> None:
        page = bundle(observation("1", 1.0), type="searchset", link=[{"relation": "next", "url": url}])
        server.twist = lambda path, times: ok(page) if "Observation" in path else None

    for other in ("https://evil.example/fhir/Observation?page=2", server.url.replace("127.0.0.1", "localhost") + "/x",
                  "//evil.example/x", "file:///etc/passwd", server.url.replace("http", "https")):  # fmt: skip
        to(other)
        with pytest.raises(RecordError, match="another host"):
            server.read()
    to(f"{server.url}/Observation?patient=Patient/p&page=2")
    with pytest.raises(RecordError, match="circle"):
        server.read()


@pytest.mark.parametrize(
    ("status", "said"), [(401, "check the token"), (403, "check the token"), (302, "another address")]
)
def test_refusals_say_what_to_do(server: Server, status: int, said: str) -> None:
    elsewhere = {"Location": "https://evil.example"}
    server.twist = lambda path, times: (status, elsewhere, b"") if "Condition" in path else None
    with pytest.raises(RecordError, match=said):
        server.read()


def test_other_versions_other_patients_and_unknown_ones(server: Server) -> None:
    server.version = "5.0.0"
    with pytest.raises(RecordError, match=r"FHIR 5.0.0; Aris reads R4"):
        server.read()
    server.version = "4.0.1"
    with pytest.raises(RecordError, match="has no patient of that id"):
        read_timeline(f"{server.url}/Patient/nobody")
    server.twist = lambda path, times: ok(patient("q")) if "Patient/p" in path and "?" not in path else None
    with pytest.raises(RecordError, match="not the one that was asked for"):
        server.read()


def test_a_patient_that_another_replaced_is_refused_in_one_line(server: Server) -> None:
    replaced = patient(link=[{"type": "replaced-by", "other": {"reference": "Patient/new"}}])
    server.twist = lambda path, times: ok(replaced) if path.endswith("Patient/p") and "?" not in path else None
    with pytest.raises(RecordError, match="another Patient replaced this one"):
        read_timeline(f"{server.url}/Patient/p")


def test_types_that_are_not_offered_are_listed(server: Server) -> None:
    server.twist = lambda path, times: (404, {}, b"") if "metadata" in path or "Goal" in path else None
    assert any("offers no Goal" in str(p) for p in server.read().problems)


@pytest.mark.parametrize(
    ("url", "token", "said"),
    [("https://u:p@host/fhir/Patient/1", None, "login"),
     ("http://host.example/fhir/Patient/1", "t", "not sent over http"),
     ("https://host/fhir", None, "Patient/ID"), ("https://host/fhir/Patient/1", "a\nb", "characters"),
     ("http://127.0.0.1:1/fhir/Patient/1", None, "cannot be reached")],
)  # fmt: skip
def test_addresses_and_tokens(url: str, token: str | None, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda s: None)
    with pytest.raises(RecordError, match=said) as caught:
        read_timeline(url, token=token)
    assert "p@" not in str(caught.value)
