"""Destinations: what is done to hand a version over, and what counts as acknowledged."""

from __future__ import annotations

from dataclasses import dataclass

from aris.errors import ExchangeError
from aris.exchange.documents.report import Report
from aris.exchange.node.peers import Peer, send
from aris.exchange.node.tls import client_context
from aris.exchange.orders.hl7_reports import oru_message
from aris.exchange.orders.mllp import send_message
from aris.exchange.sending.fhir_server import put_bundle
from aris.exchange.sending.stow import stow
from aris.flow.settings import (
    Destination,
    DicomDestination,
    DicomwebDestination,
    FhirDestination,
    FolderDestination,
    Hl7Destination,
)
from aris.imaging.sources import FileInMemory
from aris.private import make_folder, sync_folder, write_private


@dataclass(frozen=True)
class Parcel:
    """A signed version as it goes out.

    Attributes:
        report: the version.
        study: Study Instance UID.
        number: of the version.
        files: its documents by name.
        senders: AE titles of those who sent the study, the first first.
        placer, filler: the order's numbers.
    """

    report: Report
    study: str
    number: int
    files: dict[str, bytes]
    senders: tuple[str, ...] = ()
    placer: str = ""
    filler: str = ""


def deliver(destination: Destination, parcel: Parcel) -> None:
    """Hand a version over; when this returns, the destination has acknowledged it.

    Raises:
        ArisError: it has not.
    """
    if isinstance(destination, FolderDestination):
        _to_folder(destination, parcel)
    elif isinstance(destination, DicomDestination):
        _to_node(destination, parcel)
    elif isinstance(destination, DicomwebDestination):
        stow(parcel.files, destination.url, token_file=destination.token_file, authority=destination.tls_ca)
    elif isinstance(destination, FhirDestination):
        (data,) = parcel.files.values()
        put_bundle(data, parcel.study, destination.url, token_file=destination.token_file, authority=destination.tls_ca)
    else:
        _to_mllp(destination, parcel)


def _to_folder(destination: FolderDestination, parcel: Parcel) -> None:
    """Files of the same names: what is delivered again is there once. The names tell no patient."""
    folder = destination.path / parcel.study
    try:
        make_folder(destination.path)
        make_folder(folder)
        for name, data in parcel.files.items():
            write_private(folder / f"{parcel.number}.{name}", data)
        sync_folder(folder)
    except OSError as error:
        raise ExchangeError(f"{destination.path}: cannot be written ({error.strerror})") from None


def _to_node(destination: DicomDestination, parcel: Parcel) -> None:
    peer = _peer(destination, parcel)
    tls = client_context(destination.tls_cert, destination.tls_key, destination.tls_ca)
    # From memory: a file on the way would name the patient in clear.
    files = [FileInMemory(data, name) for name, data in parcel.files.items()]
    results = send(files, peer, ae_title=destination.ae_title, tls=tls)
    wrong = [each.error for each in results if each.error]
    if wrong:
        raise ExchangeError(f"{peer}: {wrong[0]}")


def _peer(destination: DicomDestination, parcel: Parcel) -> Peer:
    if destination.to != "sender":
        return Peer.parse(destination.to)
    known = {peer.ae_title.strip(): peer for peer in map(Peer.parse, destination.peers)}
    found = next((known[each] for each in parcel.senders if each in known), None)
    if found is None:
        raise ExchangeError(f"{destination.name}: none of the study's senders is among its peers; add it there")
    return found


def _to_mllp(destination: Hl7Destination, parcel: Parcel) -> None:
    message = oru_message(
        parcel.report, placer=parcel.placer, filler=parcel.filler, sending=destination.sending,
        receiving=destination.receiving, encoding=destination.encoding,
    )  # fmt: skip
    host, _, port = destination.to.rpartition(":")
    send_message(message, host.strip("[]"), int(port))
