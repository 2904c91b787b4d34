"""TLS for the DICOM node (PS3.15 B.9 and B.10: TLS 1.2 and later, both sides may show certificates)."""

from __future__ import annotations

import ssl
from pathlib import Path

from aris.errors import ExchangeError


def server_context(certificate: Path | None, key: Path | None, authority: Path | None) -> ssl.SSLContext | None:
    """The listening side; callers must show a certificate of `authority` if that is given. None without a certificate.

    Raises:
        ExchangeError: a file is missing or wrong, or `authority` or `key` stands without a certificate.
    """
    if certificate is None:
        if key is not None or authority is not None:
            raise ExchangeError("TLS: a node that listens needs its own certificate; give --tls-cert and --tls-key")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _load(context, certificate, key, authority)
    if authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(certificate: Path | None, key: Path | None, authority: Path | None) -> ssl.SSLContext | None:
    """The calling side; the peer's certificate is of `authority`, or of one that the system trusts. None for no TLS.

    Raises:
        ExchangeError: a file is missing or wrong.
    """
    if certificate is None and authority is None:
        if key is not None:
            raise ExchangeError("TLS: a key needs its certificate; give --tls-cert too")
        return None
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    _load(context, certificate, key, authority)
    return context


def _load(context: ssl.SSLContext, certificate: Path | None, key: Path | None, authority: Path | None) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if certificate is not None:
            # No prompt for a passphrase: a node starts without anybody.
            context.load_cert_chain(certificate, key, password=lambda: b"")
        if authority is not None:
            context.load_verify_locations(authority)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or "not PEM, or key and certificate do not belong together"
        raise ExchangeError(f"TLS: certificate or key cannot be read ({reason})") from None
