"""All routes of studies."""

from __future__ import annotations

from fastapi import APIRouter

from aris.service.workspace.studies import (
    acting,
    documents,
    events,
    following,
    looking,
    sampling,
    signing,
    uploading,
    worklist,
)

router = APIRouter()
for part in (worklist, looking, acting, signing, documents, uploading, sampling, following, events):
    router.include_router(part.router)
