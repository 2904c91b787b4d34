from __future__ import annotations

import json
from pathlib import Path

from aris.service.workspace.openapi import digest_of, document, main, text_of

WEB = Path(__file__).parents[3] / "web"


def test_pages_types_are_those_of_the_servers_schema() -> None:
    head = (WEB / "src" / "api" / "schema.d.ts").read_text("utf-8").splitlines()[1]

    assert head == f"// openapi sha256: {digest_of(document())}", "run `npm run api` in web/ and commit schema.d.ts"


def test_schema_is_written_the_same_each_time_and_holds_the_bodies(tmp_path: Path) -> None:
    assert main([str(tmp_path / "api.json")]) == 0

    written = (tmp_path / "api.json").read_text("utf-8")
    assert written == text_of(document())
    schemas = json.loads(written)["components"]["schemas"]
    assert {"Session", "Study", "WorklistPage", "AuditPage"} <= set(schemas)
    assert main([]) == 2
