"""A small FHIR R4 server over real HTTP: searches by patient, Subscriptions, and their notifications (rest-hook)."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TYPES = ("Patient", "Observation", "Condition", "MedicationRequest", "Subscription")


class FhirServer:
    """A server of a few types.

    Attributes:
        drop: whether the notification of a resource is lost on its way; none is by default.
        copies: how often each notification is sent.
        activates: whether Subscriptions become active; otherwise they stay as they are asked for.
        subscribes: whether it takes Subscriptions at all.
        searches: whether it can search them.
        down: whether everything is answered 503.
        answers: statuses that its notifications got, in order.
        calls: methods and paths that came.
    """

    def __init__(self, *resources: dict[str, Any]) -> None:
        self.resources: dict[tuple[str, str], dict[str, Any]] = {}
        self.drop: Callable[[dict[str, Any]], bool] = lambda _: False
        self.copies = 1
        self.activates, self.subscribes, self.searches, self.down = True, True, True, False
        self.answers: list[int] = []
        self.calls: list[str] = []
        self._lock = threading.RLock()
        self._ids = 0
        for each in resources:
            self.resources[each["resourceType"], each["id"]] = each
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                with outer._lock:
                    outer.calls.append(f"{self.command} {self.path}")
                    status, found = outer._answer(self.command, self.path, body)
                data = b"" if found is None else json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/fhir+json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_DELETE = handle_one  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.base = f"http://127.0.0.1:{self._server.server_address[1]}/fhir"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> FhirServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def subscriptions(self) -> list[dict[str, Any]]:
        with self._lock:
            return [each for (kind, _), each in self.resources.items() if kind == "Subscription"]

    def put(self, *resources: dict[str, Any]) -> None:
        """Take resources as a hospital's system sends them, and notify who subscribed."""
        with self._lock:
            for each in resources:
                self.resources[each["resourceType"], each["id"]] = each
        for each in resources:
            if not self.drop(each):
                self.notify(each)

    def notify(self, resource: dict[str, Any]) -> None:
        """Send the notifications of a resource."""
        patient = resource.get("subject", {}).get("reference")
        for each in self.subscriptions:
            ended = datetime.fromisoformat(each["end"]) < datetime.now(UTC)
            wanted = each["criteria"] == f"{resource['resourceType']}?patient={patient}"
            if not wanted or each["status"] != "active" or ended:
                continue
            channel = each["channel"]
            url, data, method = channel["endpoint"], b"", "POST"
            if channel.get("payload"):
                url, method = f"{url}/{resource['resourceType']}/{resource['id']}", "PUT"
                data = json.dumps(resource).encode()
            headers = dict(line.split(": ", 1) for line in channel["header"])
            for _ in range(self.copies):
                self.answers.append(call(method, url, data, headers))

    def _answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any] | None]:
        parts = urlsplit(path)
        steps = parts.path.removeprefix("/fhir/").split("/")
        kind, id_ = steps[0], steps[1] if len(steps) > 1 else ""
        if self.down:
            return 503, None
        if method == "GET" and kind == "metadata":
            return 200, {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1",
                         "rest": [{"resource": [{"type": each} for each in TYPES]}]}  # fmt: skip
        if kind == "Subscription" and not self.subscribes:
            return 405, None
        if method == "GET" and id_:
            found = self.resources.get((kind, id_))
            return (200, found) if found is not None else (404, None)
        if method == "GET":
            return self._search(kind, parse_qs(parts.query))
        if kind != "Subscription":
            return 405, None
        if method == "DELETE":
            return (204, None) if self.resources.pop((kind, id_), None) is not None else (404, None)
        given = json.loads(body)
        assert given["status"] == "requested" and given["channel"]["type"] == "rest-hook" and given["reason"]
        if method == "POST":
            self._ids += 1
            id_ = f"s{self._ids}"
        self.resources[kind, id_] = given | {"id": id_, "status": "active" if self.activates else "requested"}
        return (201 if method == "POST" else 200), self.resources[kind, id_]

    def _search(self, kind: str, query: dict[str, list[str]]) -> tuple[int, dict[str, Any] | None]:
        found = [each for (of, _), each in self.resources.items() if of == kind]
        if "patient" in query:
            found = [each for each in found if each.get("subject", {}).get("reference") == query["patient"][0]]
        if "url" in query:
            if not self.searches:
                return 400, None
            found = [each for each in found if each["channel"]["endpoint"] == query["url"][0]]
        entries = [{"resource": each, "search": {"mode": "match"}} for each in found]
        return 200, {"resourceType": "Bundle", "type": "searchset", "total": len(found), "entry": entries}


def call(method: str, url: str, data: bytes = b"", headers: dict[str, str] | None = None) -> int:
    """Send a request; the status of its answer, 0 where there is none."""
    request = urllib.request.Request(url, data=data, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
