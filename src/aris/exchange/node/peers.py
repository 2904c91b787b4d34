"""Other DICOM nodes: are they there (C-ECHO), and send them objects (C-STORE)."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aris.errors import ExchangeError, why_not_imported
from aris.exchange.files import read_header
from aris.imaging.film import named
from aris.imaging.sources import FileSource
from aris.store.objects import Identity, identity

if TYPE_CHECKING:
    import ssl

VERIFICATION = "1.2.840.10008.1.1"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
# In the order in which a node takes them where a sender offers several: what loses nothing first. All others are taken
# too, after these.
TRANSFER_SYNTAXES = [
    EXPLICIT,
    IMPLICIT,
    "1.2.840.10008.1.2.1.99",  # deflated
    "1.2.840.10008.1.2.2",  # big endian, retired
    "1.2.840.10008.1.2.4.57",  # JPEG lossless
    "1.2.840.10008.1.2.4.70",  # JPEG lossless, first-order prediction
    "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.201",  # HTJ2K lossless
    "1.2.840.10008.1.2.4.202",  # HTJ2K lossless RPCL
    "1.2.840.10008.1.2.5",  # RLE
    "1.2.840.10008.1.2.8.1",  # deflated frames
    "1.2.840.10008.1.2.4.92",  # JPEG 2000 part 2 lossless
    "1.2.840.10008.1.2.4.110",  # JPEG XL lossless
    "1.2.840.10008.1.2.4.111",  # JPEG XL of a JPEG
    "1.2.840.10008.1.2.4.50",  # JPEG baseline
    "1.2.840.10008.1.2.4.51",  # JPEG extended
    "1.2.840.10008.1.2.4.81",  # JPEG-LS near-lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.4.203",  # HTJ2K
    "1.2.840.10008.1.2.4.100",  # MPEG2
    "1.2.840.10008.1.2.4.102",  # MPEG-4 AVC
]
# Presentation contexts of one association (PS3.8 9.3.2.2).
_CONTEXTS = 128
_WRITTEN = re.compile(r"(?P<title>[^@]{1,16})@(\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]]+)):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True)
class Peer:
    """A node elsewhere: its AE title, host and port."""

    ae_title: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Peer:
        """A peer as it is written on the command line, `AETITLE@HOST:PORT`.

        Raises:
            ExchangeError: it is not written so.
        """
        found = _WRITTEN.fullmatch(text)
        if found is None or not is_ae_title(found["title"]) or not 0 < int(found["port"]) < 65536:
            raise ExchangeError(f"{text!r}: not a node; write AETITLE@HOST:PORT, as PACS@10.0.0.5:104")
        return cls(found["title"], found["six"] or found["host"], int(found["port"]))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.ae_title}@{host}:{self.port}"


@dataclass(frozen=True)
class Sent:
    """Outcome of sending one file.

    Attributes:
        path: as it was given.
        uid: its SOP Instance UID.
        error: why the peer does not have it; "" if it said that it has.
        warning: what the peer said besides, as that it changed the object.
    """

    path: Path
    uid: str
    error: str = ""
    warning: str = ""


def is_ae_title(text: str) -> bool:
    """Return whether a text is an AE title (PS3.5 6.2: 1 to 16 printable ASCII characters, no backslash, not blank)."""
    return bool(re.fullmatch(r"[ -\[\]-~]{1,16}", text)) and bool(text.strip())


def network() -> Any:
    """pynetdicom, its own log silenced: it quotes what is sent.

    Raises:
        ExchangeError: it is not installed, or cannot be loaded.
    """
    try:
        import pynetdicom
    except ImportError as error:
        why = why_not_imported(error, "pynetdicom")
        raise ExchangeError(f"the DICOM node needs pynetdicom ({why}); pip install 'aris-medgemma[dicom]'") from None
    # A file that is sent by its path goes as it is, in encodings that pydicom cannot write too.
    pynetdicom._config.STORE_SEND_CHUNKED_DATASET = True
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    return pynetdicom


def echo(peer: Peer, *, ae_title: str = "ARIS", tls: ssl.SSLContext | None = None, timeout_s: float = 30.0) -> None:
    """Ask a peer whether it is there.

    Raises:
        ExchangeError: it is not, or refuses us.
    """
    entity = new_entity(ae_title, timeout_s)
    entity.add_requested_context(VERIFICATION)
    association = _associate(entity, peer, tls)
    try:
        status = association.send_c_echo()
    finally:
        association.release()
    if status.get("Status") != 0:
        raise ExchangeError(f"{peer}: it is there, but does not answer an echo")


def send(
    files: Sequence[str | Path | FileSource],
    peer: Peer,
    *,
    ae_title: str = "ARIS",
    tls: ssl.SSLContext | None = None,
    timeout_s: float = 60.0,
) -> list[Sent]:
    """Send files as they are, in one association or as few as their kinds need.

    Returns:
        what became of each, in the order given. Only a success or warning of the peer counts as sent.

    Raises:
        ExchangeError, StoreError: a file cannot be read, or the peer cannot be reached at all.
    """
    sources = [Path(each) if isinstance(each, str) else each for each in files]
    waiting = [(each, identity(read_header(each), named(each))) for each in sources]
    kinds = list(dict.fromkeys((known.sop_class, known.transfer_syntax) for _, known in waiting))
    results: dict[int, Sent] = {}
    for batch in _batches(kinds):
        entity = new_entity(ae_title, timeout_s)
        for sop_class, syntax in batch:
            entity.add_requested_context(sop_class, syntax)
        association = _associate(entity, peer, tls)
        try:
            for number, (each, known) in enumerate(waiting):
                if (known.sop_class, known.transfer_syntax) in batch:
                    results[number] = _send_one(association, each, known)
        finally:
            if association.is_established:
                association.release()
    return [results[number] for number in range(len(waiting))]


def _batches(kinds: list[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """Kinds of objects, association by association.

    Each in a transfer syntax that pydicom does not know has its own: pynetdicom cannot compare it with others.
    """
    from pydicom.uid import UID

    known = [kind for kind in kinds if UID(kind[1]).is_transfer_syntax and not UID(kind[1]).is_private]
    batches = [known[start : start + _CONTEXTS] for start in range(0, len(known), _CONTEXTS)]
    return batches + [[kind] for kind in kinds if kind not in known]


def _send_one(association: Any, source: Path | FileSource, known: Identity) -> Sent:
    path = source.path if isinstance(source, FileSource) else source
    if not association.is_established:
        return Sent(path, known.uid, "the association ended before it was sent; send again")
    accepted = {(c.abstract_syntax, c.transfer_syntax[0]) for c in association.accepted_contexts}
    if (known.sop_class, known.transfer_syntax) not in accepted:
        return Sent(path, known.uid, "the peer does not take objects of this kind in this encoding")
    try:
        as_it_is = not isinstance(source, FileSource) and _is_sendable(path, known)
        status = association.send_c_store(path if as_it_is else read_header(source, pixels=True))
        status = status.get("Status")
    except Exception as error:  # pynetdicom and pydicom raise many kinds
        return Sent(path, known.uid, f"it could not be sent ({type(error).__name__})")
    if status is None:
        return Sent(path, known.uid, "the peer gave no answer; send again")
    if status == 0:
        return Sent(path, known.uid)
    # PS3.7 annex C: Bxxx and few others are warnings, the object is there.
    if status in (0x0001, 0x0107, 0x0116) or 0xB000 <= status <= 0xBFFF:
        return Sent(path, known.uid, "", f"the peer stored it with a warning (status {status:04X})")
    why = "it is out of room" if 0xA700 <= status <= 0xA7FF else "it refused the object"
    return Sent(path, known.uid, f"{why} (status {status:04X})")


def _is_sendable(path: Path, known: Identity) -> bool:
    """Return whether the file's own bytes can be sent: its meta group is there, and tells the truth."""
    from pydicom.filereader import read_file_meta_info

    try:
        with path.open("rb") as file:
            if file.read(132)[128:] != b"DICM":
                return False
        meta = read_file_meta_info(path)
        said = (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID)
    except Exception:  # pydicom raises many kinds on odd files
        return False
    return said == (known.sop_class, known.uid, known.transfer_syntax)


def new_entity(ae_title: str, timeout_s: float) -> Any:
    """An application entity of ours that calls others, waiting so long at each step.

    Raises:
        ExchangeError: it is no AE title, or pynetdicom is not installed.
    """
    if not is_ae_title(ae_title):
        raise ExchangeError(f"{ae_title!r} is no AE title; 1 to 16 printable ASCII characters, no backslash")
    entity = network().AE(ae_title=ae_title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = timeout_s
    entity.connection_timeout = timeout_s
    return entity


def _associate(entity: Any, peer: Peer, tls: ssl.SSLContext | None) -> Any:
    arguments = {"tls_args": (tls, peer.host)} if tls is not None else {}
    association = entity.associate(peer.host, peer.port, ae_title=peer.ae_title, **arguments)
    if association.is_established:
        return association
    if association.is_rejected:
        transient = getattr(association.acceptor.primitive, "result", None) == 2
        why = "it is busy; try again later" if transient else "it does not accept our AE title or its own"
        raise ExchangeError(f"{peer}: it refused the association: {why}")
    raise ExchangeError(f"{peer}: cannot be reached, or it ended the association; check host, port and TLS")
