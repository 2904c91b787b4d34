"""TLS for the DICOM node (PS3.15 B.9 and B.10: TLS 1.2 and later, both sides may show certificates)."""

from __future__ import annotations

import logging
import os
import ssl
from pathlib import Path

from aris.errors import ArisError, ExchangeError
from aris.regular import read_regular

log = logging.getLogger("aris.node")


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
    _close_to_others(key or certificate)
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


def _close_to_others(key: Path) -> None:
    """Take from everybody else what they may do with a key of ours; a group that has it (as ssl-cert) keeps it.

    Raises:
        ExchangeError: everybody may read it, and it is another user's.
    """
    try:
        status = key.stat()
        if os.name != "posix" or not status.st_mode & 0o007 or b"PRIVATE KEY" not in read_regular(key, 1 << 20):
            return
        if status.st_uid == os.geteuid():
            key.chmod(status.st_mode & 0o770)
            log.warning("TLS: the key was open to every user of this machine; it is not any more")
            return
    except (OSError, ArisError):
        return  # said when it is loaded
    raise ExchangeError("TLS: every user of this machine may read the key, which is another user's; chmod 600 it")


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
