"""Documents that a person takes out of the house, or looks at before a signature."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Response

from aris.flow.reading.exports import PreliminaryError, preview, signed_document
from aris.service.workspace.errors import RefusedError
from aris.service.workspace.studies.looking import Here, Looker, StudyUid

router = APIRouter(prefix="/api/studies/{study}", tags=["documents"])
DocumentFormat = Literal["pdf", "sr", "fhir", "text", "json"]
_MEDIA: dict[str, str] = {
    "pdf": "application/pdf", "sr": "application/dicom", "fhir": "application/fhir+json",
    "text": "text/plain; charset=utf-8", "json": "application/json",
}  # fmt: skip
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind.partition(";")[0]: {} for kind in _MEDIA.values()}, "description": "the document"}
}


@router.get("/reports/{number}/document", response_class=Response, responses=_FILE)
def document(
    study: StudyUid,
    number: Annotated[int, Path(ge=1, lt=1 << 31)],
    caller: Looker,
    workspace: Here,
    format: DocumentFormat = "pdf",
) -> Response:
    """A signed version as its destinations get it."""
    try:
        suffix, data = signed_document(workspace.house, caller.login, study, number, format)
    except PreliminaryError as error:
        raise RefusedError(409, "preliminary", str(error)) from None
    # A browser shows a PDF itself; the others are files for programs.
    how: Literal["attachment", "inline"] = "inline" if format == "pdf" else "attachment"
    return _file(data, format, f"report-{number}-{study[-12:]}.{suffix}", how)


@router.get("/preview", response_class=Response, responses=_FILE)
def look_ahead(study: StudyUid, caller: Looker, workspace: Here, format: DocumentFormat = "pdf") -> Response:
    """The newest text as it would leave now, with a draft's mark."""
    suffix, data = preview(workspace.house, caller.login, study, format)
    return _file(data, format, f"draft-{study[-12:]}.{suffix}", "inline")


def _file(data: bytes, form: DocumentFormat, name: str, how: Literal["attachment", "inline"]) -> Response:
    """A file's response. Its name tells no patient: numbers of the study's UID alone."""
    headers = {"Content-Disposition": f'{how}; filename="{name}"', "Cache-Control": "no-store"}
    return Response(data, media_type=_MEDIA[form], headers=headers)
