"""Resident server's end of `backends.resident`: calls of the same user's commands, over a socket of their own."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from aris.backends import NativeBackend
from aris.backends.resident import address, wire
from aris.engine import EngineBusy
from aris.errors import ArisError

# Commands that are served at once; more load the model themselves.
_MOST = 64
_IDLE_S = 60.0  # between a command's connecting and the end of its question


class ResidentServer:
    """Serves a model to the user's own commands until `close`. They must agree to its terms (`Wanted.terms`).

    Attributes:
        path: of the socket; None where there can be none, which is no error: commands then load the model themselves.
    """

    def __init__(self, backend: NativeBackend, terms: dict[str, Any] | None) -> None:
        self._backend = backend
        self._terms = terms
        self._locations = threading.BoundedSemaphore(_MOST)
        self._listening: socket.socket | None = None
        self.path: Path | None = None
        self._calls: dict[str, Callable[[dict[str, Any]], Any]] = {
            "score": lambda given: backend.score(given["messages"], given["choices"]),
            "score_many": lambda given: backend.score_many(given["messages"], given["questions"]),
            "token_logprobs": lambda given: backend.token_logprobs(given["messages"], given["answer"]),
            "relevance": lambda given: backend.relevance(
                given["messages"], given["wanted"], before=given["before"], against=given["against"]
            ),
        }

    def start(self) -> None:
        """Listen, in a thread of its own."""
        location = self._location()
        if location is None or self._terms is None:
            return
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        coming = location.with_suffix(".coming")
        try:
            if not _is_free(location):
                raise OSError
            coming.unlink(missing_ok=True)
            listening.bind(str(coming))
            coming.chmod(0o600)
            listening.listen(_MOST)
            coming.replace(location)  # whoever sees it can connect
        except OSError:  # too long a path, a folder without sockets
            listening.close()
            with suppress(OSError):
                coming.unlink(missing_ok=True)
            return
        self._listening, self.path = listening, location
        threading.Thread(target=self._accept, args=(listening,), name="aris-resident", daemon=True).start()

    def close(self) -> None:
        """Take no more commands; those that are served end with the process."""
        if self._listening is not None:
            with suppress(OSError):
                self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
        if self.path is not None:
            with suppress(OSError):
                self.path.unlink()

    def _location(self) -> Path | None:
        named = os.environ.get(address.ENVIRONMENT, "").strip()
        if named and not address.is_url(named):
            return None if address.is_off(named) else Path(named).expanduser()
        folder = address.folder(make=True)
        return None if folder is None else folder / f"serve-{os.getpid()}.sock"

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:  # closed
                return
            if not address.is_own(connection) or not self._locations.acquire(blocking=False):
                connection.close()
                continue
            threading.Thread(target=self._serve, args=(connection,), name="aris-resident-call", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                connection.settimeout(_IDLE_S)
                asked = wire.receive(connection)
                if not isinstance(asked, dict) or asked.get("terms") != self._terms:
                    wire.send(connection, "refused")
                    return
                wire.send(connection, "agreed")
                self._answer(connection, asked.get("what"))
        except wire.Gone:
            pass
        finally:
            self._locations.release()

    def _answer(self, connection: socket.socket, what: Any) -> None:
        backend = self._backend
        if what == "facts":
            spec = None if backend.spec is None else backend.spec.name
            facts = {"name": backend.name, "spec": spec, "calibration": dict(backend.calibration)}
            wire.send(connection, facts | {"changes": backend.changes, "reads_images": backend.reads_images})
            return
        given = wire.receive(connection)
        try:
            if what == "stream":
                self._stream(connection, given)
            else:
                wire.send(connection, {"result": self._calls[what](given)})
        except EngineBusy:
            return  # the command loads the model itself
        except ArisError as error:
            wire.send(connection, {"error": _kind(error), "message": str(error)})
        except wire.Gone:
            raise
        except Exception:
            return  # its words may quote what was asked; the command meets the same, and says it there

    def _stream(self, connection: socket.socket, given: dict[str, Any]) -> None:
        stream = self._backend.stream(given["messages"], given["options"], reasoning=True)
        try:
            wire.send(connection, "started")
            for segment in stream.segments():
                wire.send(connection, segment)
            wire.send(connection, stream.reply)
        finally:
            stream.close()


def _is_free(location: Path) -> bool:
    """Return whether there is nothing at a path, or a socket that nobody listens at any more."""
    try:
        if not stat.S_ISSOCK(location.lstat().st_mode):
            return False
    except FileNotFoundError:
        return True
    connection = address.connect(location, 1.0)
    if connection is not None:
        connection.close()
    return connection is None


def _kind(error: ArisError) -> str:
    """The name of the error's class in `aris.errors`, or of the nearest above it there."""
    return next(each.__name__ for each in type(error).__mro__ if each.__module__ == "aris.errors")
