"""Libraries that only documents need, loaded some time after the start: who asks for the first one waits for none."""

from __future__ import annotations

import importlib
import threading

# When pages, node and model are there, and the first that waited for them have been served.
REST_S = 20.0
_LIBRARIES = ("fpdf", "fontTools.subset", "pydicom.sr.codedict", "aris.exchange.documents.pdf",
              "aris.exchange.documents.sr", "aris.exchange.documents.fhir")  # fmt: skip


def load_documents() -> list[str]:
    """Load what documents need; return the names of what is not installed, as a document says when it is asked for."""
    missing = []
    for name in _LIBRARIES:
        try:
            importlib.import_module(name)
        except ImportError:
            missing.append(name)
    return missing


def load_documents_later(rest_s: float = REST_S) -> threading.Timer:
    """Load it in a thread after a while; the end of the process does not wait for it."""
    timer = threading.Timer(rest_s, load_documents)
    timer.daemon = True
    timer.name = "aris-documents"
    timer.start()
    return timer
