"""The workspace's schema as a file, whence the pages' types are made: `python -m aris.service.workspace.openapi F`."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from aris.flow.house import open_house
from aris.service.workspace.app import create_workspace
from aris.store.store import Store


def document() -> dict[str, Any]:
    """Return the OpenAPI document of what the workspace takes and answers: its bodies, without paths and version."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store")
        try:
            found = create_workspace(open_house(store, key=Path(folder) / "audit.key")).openapi()
        finally:
            store.close()
    return {"openapi": found["openapi"], "info": {"title": found["info"]["title"], "version": "0"}, "paths": {},
            "components": {"schemas": found["components"]["schemas"]}}  # fmt: skip


def text_of(document: dict[str, Any]) -> str:
    """Return the document as it is written, the same on every machine."""
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def digest_of(document: dict[str, Any]) -> str:
    """Return the SHA-256 of the document as written; it stands in the head of the pages' `schema.d.ts`."""
    return hashlib.sha256(text_of(document).encode()).hexdigest()


def main(arguments: list[str]) -> int:
    """Write the document to the file that is named."""
    if len(arguments) != 1:
        print("usage: python -m aris.service.workspace.openapi FILE", file=sys.stderr)
        return 2
    Path(arguments[0]).write_text(text_of(document()), "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
