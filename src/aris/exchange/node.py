"""A DICOM node: C-ECHO, C-STORE from others into the store, and the sizes and states that keep it upright.

C-STORE is answered with success only when the object's file and row are on the disk (`Store.add`). Whoever has no such
answer sends again, which stores nothing twice. More associations than allowed are refused as transient (PS3.8 9.3.4),
so that senders wait and retry; each association carries one object at a time.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aris.errors import ExchangeError, StoreError
from aris.exchange import contexts
from aris.exchange.peers import TRANSFER_SYNTAXES, is_ae_title, network
from aris.store.files import StoreFullError
from aris.store.objects import MismatchError, ObjectError, file_bytes

if TYPE_CHECKING:
    import ssl

    from aris.store.store import Added, Store

log = logging.getLogger("aris.node")

# PS3.4 table B.2-1, and PS3.7 annex C.
SUCCESS, FULL, MISMATCH, NOT_UNDERSTOOD, FAILED = 0x0000, 0xA700, 0xA900, 0xC000, 0x0110


@dataclass(frozen=True)
class NodeSettings:
    """How a node listens and whom it answers.

    Attributes:
        ae_title: its own.
        host, port: where; port 0 takes a free one.
        allowed: AE titles that may call; empty for all. Titles are no secret: TLS with `tls` proves who calls.
        called_title_required: refuse callers that name another AE title than ours.
        associations: at once; more are refused as transient.
        object_bytes: of one object; an association that sends more is aborted.
        tls: the server's side; None for none.
        timeout_s: of silence, until an association is aborted.
    """

    ae_title: str = "ARIS"
    host: str = "127.0.0.1"
    port: int = 11112
    allowed: tuple[str, ...] = ()
    called_title_required: bool = False
    associations: int = 16
    object_bytes: int = 2 << 30
    tls: ssl.SSLContext | None = None
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        for title in (self.ae_title, *self.allowed):
            if not is_ae_title(title):
                raise ExchangeError(f"node: {title!r} is no AE title; 1 to 16 printable ASCII characters, no backslash")
        if self.associations < 1 or self.object_bytes < 1:
            raise ExchangeError("node: the limits of associations and bytes must be at least 1")


class Node:
    """A node over a store.

    Args:
        store: keeps what is sent.
        settings: see there.
        received: is called after each object that was kept, with what became of it and the sender's AE title, in the
            association's thread; what it raises is logged and changes no answer.

    Raises:
        ExchangeError: pynetdicom is not installed.
    """

    def __init__(
        self,
        store: Store,
        settings: NodeSettings | None = None,
        received: Callable[[Added, str], None] = lambda *_: None,
    ) -> None:
        self.settings = settings or NodeSettings()
        self._store = store
        self._received = received
        self._server: Any = None
        self._counts: dict[int, int] = {}
        self._lock = threading.Lock()
        pynetdicom = network()
        contexts.take_everything()
        entity = pynetdicom.AE(ae_title=self.settings.ae_title)
        entity.maximum_associations = self.settings.associations
        entity.maximum_pdu_size = 1 << 17  # larger ones are fewer, and each is held in memory
        entity.network_timeout = entity.dimse_timeout = self.settings.timeout_s
        entity.acse_timeout = 30
        entity.require_calling_aet = list(self.settings.allowed)
        entity.require_called_aet = self.settings.called_title_required
        for context in pynetdicom.AllStoragePresentationContexts:
            entity.add_supported_context(context.abstract_syntax, TRANSFER_SYNTAXES)
        entity.add_supported_context("1.2.840.10008.1.1")  # Verification
        self._entity = entity

    @property
    def port(self) -> int:
        """Where the node listens."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Listen, in threads of its own.

        Raises:
            ExchangeError: the address cannot be used.
        """
        events = network().evt
        handlers = [
            (events.EVT_REQUESTED, contexts.on_request),
            (events.EVT_C_ECHO, lambda _: SUCCESS),
            (events.EVT_C_STORE, self._on_store),
            (events.EVT_DATA_RECV, self._on_data),
            (events.EVT_DIMSE_RECV, self._on_message),
            (events.EVT_CONN_CLOSE, self._on_close),
        ]
        settings = self.settings
        try:
            self._server = self._entity.start_server(
                (settings.host, settings.port), block=False, evt_handlers=handlers, ssl_context=settings.tls
            )
        except OSError as error:
            reason = error.strerror or "the address cannot be used"
            raise ExchangeError(f"node: {settings.host} port {settings.port}: {reason}; choose another") from None

    def stop(self) -> None:
        """Stop listening. Associations in progress are aborted: what they had no answer for is sent again."""
        if self._server is not None:
            self._server.shutdown()
            self._entity.shutdown()
            self._server = None

    def __enter__(self) -> Node:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _on_store(self, event: Any) -> int:
        source = str(event.assoc.requestor.ae_title).strip()
        request = event.request
        uid, sop_class = str(request.AffectedSOPInstanceUID), str(request.AffectedSOPClassUID)
        try:
            encoded = event.encoded_dataset(include_meta=False)
            syntax = str(event.context.transfer_syntax)
            added = self._store.add(file_bytes(encoded, sop_class, uid, syntax), source=source, expect=(uid, sop_class))
        except StoreFullError:
            log.error("C-STORE from %s refused: the disk is full", source)
            return FULL
        except MismatchError:
            log.warning("C-STORE from %s refused: the object is not the one that was announced", source)
            return MISMATCH
        except ObjectError:
            log.warning("C-STORE from %s refused: not a whole DICOM object", source)
            return NOT_UNDERSTOOD
        except StoreError as error:
            log.error("C-STORE from %s failed: %s", source, error)
            return FAILED
        except Exception as error:
            # The type alone: a message may quote the object.
            log.error("C-STORE from %s failed: %s", source, type(error).__name__)
            return FAILED
        if added.outcome == "kept beside":
            log.warning("C-STORE from %s: another content under a known UID; both are kept", source)
        try:
            self._received(added, source)
        except Exception as error:
            log.error("what follows a stored object failed: %s", type(error).__name__)
        return SUCCESS

    def _on_data(self, event: Any) -> None:
        """Count an association's bytes since its last message; end it when there are too many."""
        key = id(event.assoc)
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + len(event.data)
            over = self._counts[key] > self.settings.object_bytes
        if over:
            log.warning("an object of over %d bytes: its association is aborted", self.settings.object_bytes)
            # Not by a message that waits its turn behind the object's own.
            event.assoc.dul.socket.close()

    def _on_message(self, event: Any) -> None:
        with self._lock:
            self._counts[id(event.assoc)] = 0

    def _on_close(self, event: Any) -> None:
        with self._lock:
            self._counts.pop(id(event.assoc), None)
