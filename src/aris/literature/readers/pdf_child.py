"""Read a PDF from stdin and write its pages' text as JSON to stdout, within a limit of memory. Run as a program."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
from typing import Any

_MEMORY = 3 << 30
_PAGES = 5000
_CHARACTERS = 50_000_000
_PAGE_CHARACTERS = 2_000_000


def extract(data: bytes) -> dict[str, Any]:
    """The pages' texts and what the file says of itself, or {"error": why not}."""
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, FileNotDecryptedError, PyPdfError

    try:
        reader = PdfReader(io.BytesIO(data))
        # Many are encrypted with an empty password, only to forbid printing.
        if reader.is_encrypted and not reader.decrypt(""):
            return {"error": "the PDF is encrypted; remove its password first"}
        count = len(reader.pages)
        if count > _PAGES:
            return {"error": f"the PDF has more than {_PAGES} pages; split it"}
        pages: list[str] = []
        for number in range(count):
            pages.append((reader.pages[number].extract_text() or "")[:_PAGE_CHARACTERS])
            if sum(map(len, pages)) > _CHARACTERS:
                return {"error": "the PDF holds more text than any paper; split it"}
        about: Any = reader.metadata or {}
        return {
            "pages": [each.encode("utf-8", "replace").decode("utf-8") for each in pages],
            "title": _plain(about.get("/Title")),
            "author": _plain(about.get("/Author")),
            "doi": _plain(about.get("/doi") or about.get("/DOI") or about.get("/Subject")),
        }
    except (FileNotDecryptedError, DependencyError):
        return {"error": "the PDF is encrypted; remove its password first"}
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, AssertionError, OSError, EOFError):
        return {"error": "the PDF is damaged or cut short; fetch it again"}
    except (RecursionError, MemoryError):
        return {"error": "the PDF needs more memory than it is given, or is damaged"}
    except Exception:  # its library's and its decoders' own, of which there are many
        return {"error": "the PDF is damaged or cut short; fetch it again"}


def _plain(value: object) -> str:
    return str(value or "")[:2000].encode("utf-8", "replace").decode("utf-8")


def main() -> None:
    """Read stdin, write stdout."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    logging.disable(logging.CRITICAL)
    out = sys.stdout
    sys.stdout = sys.stderr
    json.dump(extract(sys.stdin.buffer.read()), out)


if __name__ == "__main__":
    main()
