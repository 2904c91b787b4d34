"""`aris node`: receive, find and send DICOM objects."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import signal
import sys
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aris.cli.options.shared import ApiKeyOption
from aris.cli.outcome import FAILED, INTERRUPTED, Group
from aris.cli.reading.house import installed, store_folder, wrapping_key
from aris.cli.terminal import counting, note, one_line, write, write_json
from aris.errors import ArisError, ExchangeError

if TYPE_CHECKING:
    import ssl

    from aris.exchange.node.server import Node
    from aris.store.store import Added, Store

app = typer.Typer(
    name="node",
    cls=Group,
    help="A DICOM node: receive, find and send objects.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_SECURITY = "Security"
_WEB = "DICOMweb"
# After a signal; service managers kill after ten.
_END_S = 9.0
_LOOK_S = 0.5

StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        envvar="ARIS_STORE",
        help="Folder of the store; by default the user's data folder. It holds patient data.",
    ),
]
TitleOption = Annotated[str, typer.Option("--ae-title", envvar="ARIS_AE_TITLE", help="Our own AE title.")]
CertificateOption = Annotated[
    Path | None, typer.Option("--tls-cert", help="Our certificate (PEM); turns TLS on.", rich_help_panel=_SECURITY)
]
KeyOption = Annotated[Path | None, typer.Option("--tls-key", help="Its key (PEM).", rich_help_panel=_SECURITY)]
AuthorityOption = Annotated[
    Path | None,
    typer.Option("--tls-ca", help="Certificates that peers' must be signed by (PEM).", rich_help_panel=_SECURITY),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout an object, one a line.")]


@app.command()
def serve(
    store: StoreOption = None,
    ae_title: TitleOption = "ARIS",
    host: Annotated[
        str, typer.Option(help="Address to listen at; one that others can reach needs --allow or --tls-ca.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes a free one.")] = 11112,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="AE title that may call; may be repeated. All, if none is given.", rich_help_panel=_SECURITY),
    ] = None,
    strict_title: Annotated[
        bool, typer.Option(help="Refuse callers that name another AE title than ours.", rich_help_panel=_SECURITY)
    ] = False,
    associations: Annotated[
        int, typer.Option(min=1, help="Associations at once; more are told to try again.", rich_help_panel="Limits")
    ] = 16,
    max_object_mb: Annotated[
        int, typer.Option(min=1, help="Size of one object, in MiB.", rich_help_panel="Limits")
    ] = 2048,
    reserve_mb: Annotated[
        int, typer.Option(min=0, help="Room left free on the disk, in MiB.", rich_help_panel="Limits")
    ] = 256,
    dicomweb: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            metavar="PORT",
            rich_help_panel=_WEB,
            help="Answer DICOMweb (STOW-RS, QIDO-RS, WADO-RS) too, at this port; 0 takes a free one.",
        ),
    ] = None,
    api_key: ApiKeyOption = None,
    web_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            rich_help_panel=_WEB,
            help="A viewer's pages that may call from a browser, as http://localhost:3000; may be repeated.",
        ),
    ] = None,
    tls_cert: CertificateOption = None,
    tls_key: KeyOption = None,
    tls_ca: AuthorityOption = None,
    json: JsonOption = False,
) -> None:
    """Receive objects (C-STORE), answer echoes (C-ECHO) and, where asked, DICOMweb, until Ctrl-C or SIGTERM.

    An object is acknowledged when its file and its place in the index are on the disk, never before. Each one is told
    on stdout: when, what became of it (stored, known, repaired, kept beside, kept apart), its SOP Instance UID, and who
    sent it.

    Examples:

        aris node serve

        aris node serve --dicomweb 8042

        aris node serve --host 0.0.0.0 --allow CT1 --allow PACS --store /srv/aris
    """
    from aris.exchange.node.peers import network
    from aris.exchange.node.server import Node, NodeSettings
    from aris.exchange.node.tls import server_context
    from aris.service.settings import is_loopback

    network()
    tls = server_context(tls_cert, tls_key, tls_ca)
    web = None
    if dicomweb is not None:
        from aris.service.dicomweb import DicomwebLimits, DicomwebSettings

        limits = DicomwebLimits(object_bytes=max_object_mb << 20)
        web = DicomwebSettings(
            host=host, port=dicomweb, api_key=api_key, origins=tuple(web_origin or ()), tls=tls, limits=limits
        )
    if not is_loopback(host) and not allow and tls_ca is None:
        raise ExchangeError(
            f"node: {host} can be reached from other machines; name who may call with --allow or --tls-ca, or leave "
            "--host out"
        )
    settings = NodeSettings(
        ae_title=ae_title,
        host=host,
        port=port,
        allowed=tuple(allow or ()),
        called_title_required=strict_title,
        associations=associations,
        object_bytes=max_object_mb << 20,
        tls=tls,
    )
    stopped = threading.Event()
    by: list[int] = []
    counts: dict[str, int] = {}

    def stop(number: int, _frame: object) -> None:
        by.append(number)
        stopped.set()
        if len(by) == 1:
            # Whatever hangs then: what was acknowledged is on the disk.
            threading.Thread(target=_end_in_time, args=(number,), daemon=True).start()

    def received(added: Added, source: str) -> None:
        # Nothing that tells a patient: stdout may be a log. Who reads it no more must not cost a sender its object.
        with contextlib.suppress(OSError, ArisError):
            if json:
                write_json({"uid": added.uid, "source": source, "outcome": added.outcome})
            else:
                when = datetime.now().astimezone()
                write(f"{when:%Y-%m-%d %H:%M:%S}  {added.outcome}  {one_line(added.uid)}  from {one_line(source)}\n")
        counts[added.outcome] = counts.get(added.outcome, 0) + 1

    with open_store(store, reserve_mb << 20) as kept:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        if opened := kept.tighten(every=True):
            note(f"! {opened} files of the store were open to other users of this machine, and are no more")
        kept.files.clear_incoming()
        with Node(kept, settings, received) as node:
            note(f"{ae_title} listens at {host}:{node.port}; objects go to {kept.folder}")
            note(f"{'TLS' if settings.tls else 'no TLS'}; calls from {', '.join(allow) if allow else 'any AE title'}")
            with contextlib.ExitStack() as others:
                if web is not None:
                    from aris.service.dicomweb import DicomwebServer
                    from aris.service.http.logs import configure_logs

                    configure_logs()
                    server = others.enter_context(DicomwebServer(kept, web, received))
                    note(f"DICOMweb at {server.url}; {'callers need the key' if api_key else 'no key is needed'}")
                note("Ctrl-C stops it")
                # A signal that comes just before the thread sleeps would not wake it, so it looks again.
                while not stopped.wait(_LOOK_S):
                    pass
                others.callback(_ending(node).join)
    note(f"received: {', '.join(f'{count} {outcome}' for outcome, count in sorted(counts.items())) or 'nothing'}")
    if by[0] == signal.SIGINT:
        raise typer.Exit(INTERRUPTED)


def _ending(node: Node) -> threading.Thread:
    """The node's end, beside that of the others."""
    thread = threading.Thread(target=node.stop, daemon=True)
    thread.start()
    return thread


def _end_in_time(number: int) -> None:
    time.sleep(_END_S)
    # In a thread: whoever reads stderr no more must not keep the node from its end.
    telling = threading.Thread(target=_tell_the_end, daemon=True)
    telling.start()
    telling.join(1)
    os._exit(INTERRUPTED if number == signal.SIGINT else 0)


def _tell_the_end() -> None:
    note("stopped: not all had ended in time; what was acknowledged is stored")
    with contextlib.suppress(OSError):
        sys.stdout.flush()


@app.command()
def echo(
    peer: Annotated[str, typer.Argument(metavar="AETITLE@HOST:PORT", help="The node to ask.")],
    ae_title: TitleOption = "ARIS",
    tls_cert: CertificateOption = None,
    tls_key: KeyOption = None,
    tls_ca: AuthorityOption = None,
) -> None:
    """Ask another node whether it is there (C-ECHO).

    Example:

        aris node echo PACS@10.0.0.5:104
    """
    from aris.exchange.node.peers import Peer
    from aris.exchange.node.peers import echo as ask

    found = Peer.parse(peer)
    ask(found, ae_title=ae_title, tls=_client_tls(tls_cert, tls_key, tls_ca))
    write(f"{found} answers\n")


@app.command()
def send(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="DICOM files.")],
    to: Annotated[str, typer.Option("--to", metavar="AETITLE@HOST:PORT", help="The node to send to.")],
    ae_title: TitleOption = "ARIS",
    tls_cert: CertificateOption = None,
    tls_key: KeyOption = None,
    tls_ca: AuthorityOption = None,
    json: JsonOption = False,
) -> None:
    """Send files to another node (C-STORE), as they are.

    Example:

        aris node send report.dcm --to PACS@10.0.0.5:104
    """
    from aris.exchange.node.peers import Peer

    if not _deliver(files, Peer.parse(to), ae_title, _client_tls(tls_cert, tls_key, tls_ca), json=json):
        raise typer.Exit(FAILED)


@app.command(name="return")
def give_back(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="DICOM documents of studies in the store.")],
    peer: Annotated[
        list[str],
        typer.Option("--peer", metavar="AETITLE@HOST:PORT", help="A node that may have sent; may be repeated."),
    ],
    store: StoreOption = None,
    ae_title: TitleOption = "ARIS",
    tls_cert: CertificateOption = None,
    tls_key: KeyOption = None,
    tls_ca: AuthorityOption = None,
    json: JsonOption = False,
) -> None:
    """Send documents back to the node that their studies came from.

    The store knows the AE title of a study's first sender; --peer says where that one is.

    Example:

        aris node return report.dcm --peer PACS@10.0.0.5:104 \\
            --peer CT1@10.0.0.6:11112
    """
    from aris.exchange.files import read_header
    from aris.exchange.node.peers import Peer
    from aris.store.objects import identity

    peers = {found.ae_title.strip(): found for found in map(Peer.parse, peer)}
    to: dict[Peer, list[Path]] = {}
    with open_store(store) as kept:
        for path in files:
            senders = kept.senders(identity(read_header(path), str(path)).study)
            if not senders:
                raise ExchangeError(f"{path}: nobody sent objects of its study to the store {kept.folder}")
            if senders[0] not in peers:
                raise ExchangeError(f"{path}: its study came from {senders[0]}; say with --peer where that is")
            to.setdefault(peers[senders[0]], []).append(path)
    tls = _client_tls(tls_cert, tls_key, tls_ca)
    done = [_deliver(paths, found, ae_title, tls, json=json) for found, paths in to.items()]
    if not all(done):
        raise typer.Exit(FAILED)


@app.command()
def studies(
    match: Annotated[
        list[str] | None,
        typer.Option(metavar="KEYWORD=VALUE", help="As PatientID=P1, StudyDate=20260101-, PatientName=Mül*."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Studies at most.")] = 100,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """List the studies in the store.

    Example:

        aris node studies --match StudyDate=20260101- --json
    """
    wanted = dict(_pair(each) for each in match or ())
    with open_store(store) as kept:
        from aris.store.search import Query

        found = kept.search("studies", Query(wanted, limit))
        apart = [row for row in kept.apart() if _matches(row, wanted)]
    for row in (*found, *apart):
        if json:
            write_json(row)
        else:
            write(_line(row))
    if apart:
        note(
            f"! {sum(row['NumberOfStudyRelatedInstances'] for row in apart)} objects are kept apart: they name another "
            "patient than the study of their UIDs does, and no search or retrieval of that study gives them out; "
            "see `aris node apart`"
        )


def _line(row: dict[str, Any]) -> str:
    """A study on one line. All in it is a sender's, and may hold anything."""
    what = one_line("/".join(row["ModalitiesInStudy"]))
    mark = "  KEPT APART: another patient under this study's UID" if row.get("KeptApart") else ""
    return (
        f"{one_line(row['StudyDate']) or '--------'}  {what:6}  {row['NumberOfStudyRelatedInstances']:5} objects  "
        f"{one_line(row['PatientID'])}  {one_line(row['StudyInstanceUID'])}{mark}\n"
    )


def _matches(row: dict[str, Any], wanted: dict[str, str]) -> bool:
    """Return whether what is kept apart may be meant: a key that it does not have leaves it in."""
    return all(
        fnmatch.fnmatchcase(str(row[keyword]).casefold(), value.casefold())
        for keyword, value in wanted.items()
        if isinstance(row.get(keyword), str) and value and "-" not in value
    )


@app.command()
def rebuild(store: StoreOption = None) -> None:
    """Make the index of the store anew from its objects, where it was lost, emptied or damaged.

    The old index is put aside, and what it still tells (who sent what, and when) is taken over. No object is changed;
    one whose contents are no longer what they were is named, and gets no place.

    Example:

        aris node rebuild --store /srv/aris
    """
    if os.environ.get("ARIS_DATABASE"):
        raise ExchangeError("rebuild: the index is in ARIS_DATABASE, not in the folder; restore that from a backup")
    folder = _folder(store)
    with installed():
        from aris.store.rebuild import rebuild as make_anew
    made = make_anew(folder, wrapping=wrapping_key(folder))
    write(f"{made.indexed} objects indexed, {made.apart} of them kept apart; the sender of {made.senders} is known\n")
    if made.carried:
        write(f"{made.carried} rows of orders, drafts, reports and the audit trail were taken over\n")
    if made.kept is not None:
        note(f"the old index is in {made.kept.parent}")
    for table in made.lost:
        note(f"error: not every row of {table} could be read; restore the store from a backup if it has more")
    for digest in made.damaged:
        write(f"damaged: {digest}.dcm\n")
    if made.lost and not made.damaged:
        raise typer.Exit(FAILED)
    if made.damaged:
        note(f"error: {len(made.damaged)} objects are damaged; restore them from a backup or have them sent again")
        raise typer.Exit(FAILED)


def open_store(folder: Path | None, reserve_bytes: int | None = None) -> Store:
    """The store in a folder, or the user's own.

    Raises:
        ExchangeError: SQLAlchemy or alembic is not installed.
        StoreError: it cannot be opened.
    """
    with installed():
        from aris.store.files import RESERVE_BYTES
        from aris.store.store import Store
    url = os.environ.get("ARIS_DATABASE") or None
    location = _folder(folder)
    return Store(
        location, url=url, reserve_bytes=RESERVE_BYTES if reserve_bytes is None else reserve_bytes,
        wrapping=wrapping_key(location),
    )  # fmt: skip


def _folder(folder: Path | None) -> Path:
    """The store's folder as it was given, or the user's own."""
    return store_folder(None) if folder is None else folder


def _deliver(files: list[Path], to: object, ae_title: str, tls: ssl.SSLContext | None, *, json: bool) -> bool:
    from aris.exchange.node.peers import Peer
    from aris.exchange.node.peers import send as transmit

    assert isinstance(to, Peer)
    with counting(f"sending to {to}", len(files)) as step:
        results = transmit(files, to, ae_title=ae_title, tls=tls)
        for _ in results:
            step()
    for each in results:
        if json:
            write_json({"file": str(each.path), "uid": each.uid, "to": str(to), "error": each.error or None,
                        "warning": each.warning or None})  # fmt: skip
        elif not each.error:
            write(f"{each.path}: {to} has it{f' ({each.warning})' if each.warning else ''}\n")
        if each.error:
            note(f"error: {each.path}: not sent to {to}: {each.error}")
    return not any(each.error for each in results)


def _pair(text: str) -> tuple[str, str]:
    keyword, sign, value = text.partition("=")
    if not sign:
        raise typer.BadParameter("write KEYWORD=VALUE, as PatientID=P1", param_hint="--match")
    return keyword.strip(), value


def _client_tls(certificate: Path | None, key: Path | None, authority: Path | None) -> ssl.SSLContext | None:
    from aris.exchange.node.tls import client_context

    return client_context(certificate, key, authority)
