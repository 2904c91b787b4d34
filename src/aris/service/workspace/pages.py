"""The built pages at all paths but /api: files as they are, and for every other path the one page with its script."""

from __future__ import annotations

import mimetypes
import re
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse, Response

from aris.service.workspace.context import NO_ROUTE
from aris.service.workspace.errors import not_found
from aris.workspace import MISSING

INDEX = "index.html"
NONCE_MARK = "__CSP_NONCE__"
# Vite puts what has its digest in its name into this folder.
_HASHED = "assets/"
_HEAD = re.compile(rb"<head[^>]*>", re.IGNORECASE)
_FOREVER = "public, max-age=31536000, immutable"
_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", ".css": "text/css",
          ".svg": "image/svg+xml", ".woff2": "font/woff2", ".json": "application/json",
          ".webmanifest": "application/manifest+json"}  # fmt: skip


def pages_router(folder: Path | None) -> APIRouter:
    """The routes of the pages.

    Args:
        folder: of the built pages; None: they are not built, which is said instead.
    """
    router = APIRouter(include_in_schema=False)

    @router.api_route(NO_ROUTE[0], methods=_METHODS)
    @router.api_route(NO_ROUTE[1], methods=_METHODS)
    def no_such_route(rest: str = "") -> Response:
        raise not_found("there is no such path")

    @router.api_route("/{path:path}", methods=["GET", "HEAD"])
    def page(path: str, request: Request) -> Response:
        if folder is None:
            return PlainTextResponse(f"{MISSING}\n", 503)
        found = _file(folder, path)
        if found is not None:
            media = _TYPES.get(found.suffix) or mimetypes.guess_type(found.name)[0] or "application/octet-stream"
            cache = _FOREVER if path.startswith(_HASHED) else "no-store"
            return FileResponse(found, media_type=media, headers={"Cache-Control": cache})
        if path.startswith(_HASHED):
            raise not_found("there is no such file")
        return HTMLResponse(_with_nonce((folder / INDEX).read_bytes(), request.scope["state"]["nonce"]))

    return router


_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def _file(folder: Path, path: str) -> Path | None:
    """A file of the pages; None where there is none, or the path leads out of their folder."""
    if not path or path == INDEX or "\0" in path or "\\" in path:
        return None
    root = folder.resolve()
    try:
        found = (root / path).resolve()
    except (OSError, ValueError):
        return None
    hidden = any(part.startswith(".") for part in Path(path).parts)
    return found if not hidden and found.is_relative_to(root) and found.is_file() else None


def _with_nonce(page: bytes, nonce: str) -> bytes:
    """The page with the answer's nonce, by which its script may add styles."""
    if NONCE_MARK.encode() in page:
        return page.replace(NONCE_MARK.encode(), nonce.encode())
    meta = b'<meta name="csp-nonce" content="' + nonce.encode() + b'">'
    return _HEAD.sub(lambda found: found.group() + meta, page, count=1)
