"""Options of `aris monitor --follow` by which a FHIR server wakes the watch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from aris.cli.outcome import report

if TYPE_CHECKING:
    from aris.flow.monitoring.subscribed import Subscribed
    from aris.flow.monitoring.subscriptions import Subscriptions

_PANEL = "Notifications of a FHIR server"


@dataclass(frozen=True)
class SubscribeOptions:
    """Options of the Subscriptions at a FHIR server."""

    subscribe: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Ask the FHIR server to notify us (R4 Subscription, rest-hook), and read at once when it does; a poll "
            "every 5 min makes good what is lost. The address under which the server reaches --listen.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where notifications are taken.", rich_help_panel=_PANEL)
    ] = "127.0.0.1:8086"
    payload: Annotated[
        bool,
        typer.Option(
            "--payload", help="Let the server send the resource along, where it must; it is not believed.",
            rich_help_panel=_PANEL,
        ),
    ] = False  # fmt: skip
    keep_subscriptions: Annotated[
        bool,
        typer.Option(
            "--keep-subscriptions", help="Leave them at the server when the watch ends.", rich_help_panel=_PANEL
        ),
    ] = False
    unsubscribe: Annotated[
        bool,
        typer.Option(
            "--unsubscribe", help="Take away those of --state, as of a watch that was killed, and end.",
            rich_help_panel=_PANEL,
        ),
    ] = False  # fmt: skip
    tls_cert: Annotated[
        Path | None, typer.Option(help="Certificate of --listen (PEM); turns TLS on.", rich_help_panel=_PANEL)
    ] = None
    tls_key: Annotated[Path | None, typer.Option(help="Its key (PEM).", rich_help_panel=_PANEL)] = None
    insecure_plain_http: Annotated[
        bool,
        typer.Option(
            "--insecure-plain-http", help="Be notified over the network without TLS.", rich_help_panel=_PANEL
        ),
    ] = False

    def require(self, source: str | None, *, follow: bool, state: Path | None) -> None:
        """Refuse what does not fit together.

        Raises:
            typer.BadParameter: two options contradict each other, or one lacks another.
        """
        server = source is not None and source.startswith(("http://", "https://"))
        if self.unsubscribe:
            if follow or state is None or not server:
                raise typer.BadParameter(
                    "give the server's address and the --state of the watch, without --follow",
                    param_hint="--unsubscribe",
                )
            return
        if self.subscribe is None:
            if self.payload or self.keep_subscriptions:
                raise typer.BadParameter("it is for --subscribe", param_hint="--payload, --keep-subscriptions")
            return
        if not follow or not server:
            raise typer.BadParameter("it is for --follow of a patient on a FHIR server", param_hint="--subscribe")
        if self.keep_subscriptions and state is None:
            raise typer.BadParameter("it needs --state, which knows them", param_hint="--keep-subscriptions")
        self._require_address(self.subscribe)

    def _require_address(self, address: str) -> None:
        from aris.service.settings import is_loopback

        parts = urlsplit(address)
        more = parts.query or parts.fragment or parts.username
        if parts.scheme not in ("http", "https") or not parts.hostname or more:
            raise typer.BadParameter("write it as https://HOST/PATH", param_hint="--subscribe")
        host, _ = self._listened()
        plain_there = parts.scheme == "http" and not is_loopback(parts.hostname)
        plain_here = self.tls_cert is None and not is_loopback(host)
        if (plain_there or plain_here) and not self.insecure_plain_http:
            raise typer.BadParameter(
                "notifications would cross the network without TLS; give an https address and --tls-cert (or a proxy "
                "on this machine), or --insecure-plain-http",
                param_hint="--subscribe",
            )

    def _listened(self) -> tuple[str, int]:
        host, _, port = self.listen.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise typer.BadParameter("write it as 127.0.0.1:8086", param_hint="--listen")
        return host, int(port)

    @contextmanager
    def woken(
        self, source: str, patient: str | None, token: str | None, state: Path, *, every_s: float
    ) -> Iterator[Subscribed]:
        """Listen, and give what wakes the watch; at the end its Subscriptions are taken away, or left.

        Raises:
            ArisError: it cannot be listened there, or a file cannot be used.
        """
        from aris.errors import RecordError
        from aris.exchange.node.tls import server_context
        from aris.flow.monitoring.subscribed import Listener, Subscribed

        assert self.subscribe is not None
        tls = server_context(self.tls_cert, self.tls_key, None)
        with self._at_server(source, patient, token, state, self.subscribe) as subscriptions:
            woken = Subscribed(subscriptions, every_s)
            listener = Listener(*self._listened(), subscriptions.secrets, woken.bell.ring, tls)
            try:
                yield woken
                if not self.keep_subscriptions:
                    try:
                        woken.remove()
                    except RecordError as error:
                        report(error)
            finally:
                listener.close()

    def take_away(self, source: str, patient: str | None, token: str | None, state: Path) -> int:
        """Take the Subscriptions of a watch away; return how many.

        Raises:
            ArisError: the server or a file cannot be used, or the watch has none.
        """
        from aris.errors import ArisError
        from aris.flow.monitoring.subscriptions import address_kept

        address = address_kept(_file(state))
        if address is None:
            raise ArisError(f"{state}: no Subscriptions are known of this watch")
        with self._at_server(source, patient, token, state, address) as subscriptions:
            return subscriptions.remove()

    @contextmanager
    def _at_server(
        self, source: str, patient: str | None, token: str | None, state: Path, address: str
    ) -> Iterator[Subscriptions]:
        from aris.flow.monitoring.subscriptions import Subscriptions
        from aris.records.fhir.client import FhirClient
        from aris.records.fhir.server import named_patient

        base, id_ = named_patient(source, patient)
        with FhirClient(base, token, timeout_s=20.0, retries=2) as client:
            yield Subscriptions(client, id_, address, _file(state), payload=self.payload)


def _file(state: Path) -> Path:
    return state.with_name(state.name + ".subscription.json")
