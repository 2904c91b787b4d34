"""`aris orders`: orders from a worklist or by HL7, so that urgent studies stand first and priors are known."""

from __future__ import annotations

import signal
import threading
from datetime import date as day
from pathlib import Path
from typing import Annotated

import typer

from aris.cli.groups import with_groups
from aris.cli.outcome import INTERRUPTED, Group
from aris.cli.reading import house as place
from aris.cli.terminal import note, one_line, write, write_json
from aris.errors import ExchangeError

app = typer.Typer(
    name="orders",
    cls=Group,
    help="Orders: from a Modality Worklist, or by HL7 v2.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
@with_groups
def query(
    peer: Annotated[str, typer.Argument(metavar="AETITLE@HOST:PORT", help="The worklist.")],
    where: place.HouseOptions,
    date: Annotated[str, typer.Option(help="YYYYMMDD, a range, or all; today by default.")] = "",
    modality: Annotated[str, typer.Option(help="As DX.")] = "",
    ae_title: Annotated[str, typer.Option("--ae-title", envvar="ARIS_AE_TITLE", help="Our own AE title.")] = "ARIS",
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", help="Our certificate (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="Its key (PEM).")] = None,
    tls_ca: Annotated[Path | None, typer.Option("--tls-ca", help="Whom the worklist's is signed by (PEM).")] = None,
    json: place.JsonOption = False,
) -> None:
    """Ask a Modality Worklist (C-FIND) for its orders, and keep them.

    Example:

        aris orders query RIS@10.0.0.7:104 --modality DX
    """
    from aris.exchange.node.peers import Peer
    from aris.exchange.node.tls import client_context

    found_peer = Peer.parse(peer)
    tls = client_context(tls_cert, tls_key, tls_ca)
    with where.house() as found:
        from aris.exchange.orders.modality_worklist import query_worklist
        from aris.flow.orders import keep_orders

        wanted = "" if date == "all" else date or f"{day.today():%Y%m%d}"
        orders = query_worklist(found_peer, date=wanted, modality=modality, ae_title=ae_title, tls=tls)
        studies = keep_orders(found, orders)
    if json:
        write_json({"orders": len(orders), "studies": studies})
    else:
        write(f"{len(orders)} orders; {studies} studies have another order now\n")


@app.command()
@with_groups
def listen(
    where: place.HouseOptions,
    host: Annotated[
        str, typer.Option(help="Address to listen at. MLLP knows neither passwords nor TLS: keep it to a safe network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes a free one.")] = 2575,
    anyone: Annotated[
        bool, typer.Option("--anyone", help="Listen where other machines reach it: whoever does may put orders in.")
    ] = False,
) -> None:
    """Take orders by HL7 v2 over MLLP (ORM^O01, OMI^O23), until Ctrl-C or SIGTERM.

    A message is acknowledged when its orders are on the disk. Its character set is that of MSH-18.

    Example:

        aris orders listen --port 2575
    """
    from aris.exchange.orders.hl7_text import library
    from aris.exchange.orders.mllp import MllpServer
    from aris.service.http.logs import configure_logs
    from aris.service.settings import is_loopback

    if not is_loopback(host) and not anyone:
        raise ExchangeError(f"orders: {host} can be reached from other machines; say --anyone if that is meant")
    library()
    configure_logs()
    stopped, by = threading.Event(), []

    def stop(number: int, _frame: object) -> None:
        by.append(number)
        stopped.set()

    with where.house() as found:
        from aris.flow.orders import take_message

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        with MllpServer(lambda data: take_message(found, data), host, port) as server:
            note(f"HL7 v2 over MLLP at {host}:{server.port}; Ctrl-C stops it")
            while not stopped.wait(0.5):
                pass
    if by[0] == signal.SIGINT:
        raise typer.Exit(INTERRUPTED)


@app.command(name="list")
@with_groups
def list_orders(
    where: place.StoreOptions,
    limit: Annotated[int, typer.Option(min=1, help="Orders at most.")] = 50,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout an order, one a line.")] = False,
) -> None:
    """List orders, the last changed first."""
    with where.open() as found:
        from aris.store.reading import orders

        with found.sessions.reading() as session:
            rows = orders.all_of(session, limit)
    for row in rows:
        if json:
            write_json({"accession": row.accession, "placer": row.placer, "filler": row.filler,
                        "study": row.study_uid or None, "patient_id": row.patient_id, "patient_name": row.patient_name,
                        "urgency": row.urgency, "status": row.status, "procedure": row.procedure, "reason": row.reason,
                        "source": row.source})  # fmt: skip
        else:
            write(f"{row.status:9}  {row.urgency:7}  {one_line(row.accession):16}  {one_line(row.patient_name)}  "
                  f"{one_line(row.procedure)}  {one_line(row.reason)}\n")  # fmt: skip
