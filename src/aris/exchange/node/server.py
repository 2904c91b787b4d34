"""A DICOM node: C-ECHO, C-STORE from others into the store, and the sizes and states that keep it upright.

C-STORE is answered with success only when the object's file and row are on the disk (`Store.add`). Whoever has no such
answer sends again, which stores nothing twice. More associations than allowed are refused as transient (PS3.8 9.3.4),
so that senders wait and retry; each association carries one object at a time. What connects is bounded in time, bytes
and number before it is an association (`reception`), and as one (`associations`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aris.errors import ExchangeError, StoreError
from aris.exchange.node import contexts
from aris.exchange.node.log_limits import Repeats
from aris.exchange.node.peers import TRANSFER_SYNTAXES, is_ae_title, network
from aris.store.files import StoreFullError
from aris.store.objects import MismatchError, ObjectError, file_bytes

if TYPE_CHECKING:
    import ssl

    from aris.exchange.node.reception import Reception
    from aris.store.store import Added, Store

log = logging.getLogger("aris.node")
log.addFilter(Repeats())

# PS3.4 table B.2-1, and PS3.7 annex C.
SUCCESS, FULL, MISMATCH, NOT_UNDERSTOOD, FAILED = 0x0000, 0xA700, 0xA900, 0xC000, 0x0110
# Warnings of our own in the range of warnings (Bxxx: the object is stored), the same in STOW-RS: another content came
# under a UID that is taken; and the object names another patient than the study or object of its UIDs does.
KEPT_BESIDE, KEPT_APART = 0xB00E, 0xB00F
# Within ten seconds of a signal it has ended: an object that is being stored has so long to be stored.
_PATIENCE_S = 5.0


@dataclass(frozen=True)
class NodeSettings:
    """Settings of a node: its address, and the peers that it answers.

    Attributes:
        ae_title: its own.
        host, port: where; port 0 takes a free one.
        allowed: AE titles that may call; empty for all. Titles are no secret: TLS with `tls` proves who calls.
        called_title_required: refuse callers that name another AE title than ours.
        associations: at once; more are refused as transient.
        object_bytes: of one object; an association that sends more is aborted.
        tls: the server's side; None for none.
        timeout_s: of silence, until an association is aborted; also for each PDU. An object must then have come with
            4 KiB a second.
        waiting: connections at once that have not asked for an association yet; of more, the first are cut.
        waiting_of_one: likewise, of one address.
        request_s: seconds in which a connection must have asked for an association, TLS included.
        idle_s: seconds of silence after which an association makes room for another, where all are taken.
        held_bytes: of objects on their way, over all associations; beyond, an association waits for the others.
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
    waiting: int = 64
    waiting_of_one: int = 32
    request_s: float = 15.0
    idle_s: float = 10.0
    held_bytes: int = 1 << 30

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
        self._reception: Reception | None = None
        pynetdicom = network()
        contexts.take_everything()
        entity = pynetdicom.AE(ae_title=self.settings.ae_title)
        entity.maximum_associations = 1 << 20  # the reception counts them
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
        """Return the port that the node listens on."""
        assert self._reception is not None
        return self._reception.port

    def start(self) -> None:
        """Listen, in threads of its own.

        Raises:
            ExchangeError: the address cannot be used.
        """
        from aris.exchange.node.reception import Reception, Room

        events = network().evt
        handlers = [
            (events.EVT_REQUESTED, contexts.on_request),
            (events.EVT_C_ECHO, lambda _: SUCCESS),
            (events.EVT_C_STORE, self._on_store),
        ]
        settings = self.settings
        room = Room(
            settings.associations, settings.waiting, settings.waiting_of_one, settings.request_s, settings.idle_s,
            settings.object_bytes, settings.held_bytes, settings.timeout_s,
        )  # fmt: skip
        reception = Reception(self._entity, handlers, room, settings.tls)
        try:
            reception.listen(settings.host, settings.port)
        except OSError as error:
            reason = error.strerror or "the address cannot be used"
            raise ExchangeError(f"node: {settings.host} port {settings.port}: {reason}; choose another") from None
        self._reception = reception

    def stop(self) -> None:
        """Stop listening, within seconds. Associations are aborted: what they had no answer for is sent again."""
        if self._reception is not None:
            self._reception.stop(_PATIENCE_S)
            self._reception = None

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
        status = SUCCESS
        if added.outcome == "kept beside":
            log.warning("C-STORE from %s: another content under a known UID; both are kept", source)
            status = KEPT_BESIDE
        elif added.outcome == "kept apart":
            log.warning("C-STORE from %s: another patient under a known UID; the object is kept apart", source)
            status = KEPT_APART
        elif added.outcome == "repaired":
            log.warning("C-STORE from %s: the object was damaged on the disk, and is whole again", source)
        try:
            self._received(added, source)
        except Exception as error:
            log.error("what follows a stored object failed: %s", type(error).__name__)
        return status
