"""The viewer's questions: series, frames, thumbnails, and what others drew and wrote of a study."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from aris.errors import ImageError
from aris.imaging.memory_budget import MemoryBusyError
from aris.service.workspace.context import Caller, Workspace, allow, here
from aris.service.workspace.errors import RefusedError, not_found
from aris.service.workspace.images.decoding import FrameDecoder, NoFrameError
from aris.service.workspace.images.finding import find_objects, middle_image
from aris.service.workspace.images.outside import encapsulated_pdf, graphics_of_study, outside_document
from aris.service.workspace.images.series import SeriesLister
from aris.service.workspace.images.thumbnails import Thumbnails
from aris.service.workspace.schemas.images import Graphic, OutsideDocument, SeriesImages
from aris.service.workspace.viewing import audit_view, require_study
from aris.store.store import Stored

router = APIRouter(prefix="/api", tags=["images"])
Looking = Annotated[Caller, allow("reader", "viewer", scope="read")]
Here = Annotated[Workspace, here]
Uid = Annotated[str, Path(max_length=64, pattern=r"^[0-9.]+$")]
_BUSY_S = 1
# Of the form of values; another one makes other entity tags.
_VERSION = "1"


@dataclass(frozen=True)
class ImageRoom:
    """Readers of a store's images, with what they keep while the server runs."""

    decoder: FrameDecoder
    lister: SeriesLister
    thumbnails: Thumbnails


_MAKING = threading.Lock()


def room_of(workspace: Workspace) -> ImageRoom:
    """The image room of a workspace's store, kept with the workspace."""
    with _MAKING:
        if workspace.images is None:
            store = workspace.house.store
            decoder = FrameDecoder(store)
            workspace.images = ImageRoom(decoder, SeriesLister(store, decoder), Thumbnails(store))
        return workspace.images


@router.get("/studies/{study}/series/{series}")
def series_images(study: Uid, series: Uid, caller: Looking, workspace: Here) -> SeriesImages:
    """A series, in the order of display."""
    found = room_of(workspace).lister.listed(study, series)
    if found is None:
        raise not_found("there is no such series")
    audit_view(workspace, caller, study, "images")
    return found


@router.get("/studies/{study}/series/{series}/thumbnail", response_class=Response)
def series_thumbnail(study: Uid, series: Uid, caller: Looking, workspace: Here, request: Request) -> Response:
    """The image in the middle of a series, small."""
    found = middle_image(workspace.house.store, study, series)
    if found is None:
        raise not_found("there is no such series, or no image in it")
    return _thumbnail(found, caller, workspace, request)


@router.get("/images/{uid}/frames/{number}", response_class=Response)
def frame(
    uid: Uid, number: Annotated[int, Path(ge=1, lt=1 << 24)], caller: Looking, workspace: Here, request: Request
) -> Response:
    """A frame's values: little-endian, row by row, in the type that its series says."""
    found = _image(workspace, uid)
    audit_view(workspace, caller, found.study, "images")
    tag = f'"{found.digest[:32]}.{number}.{_VERSION}"'
    if tag in request.headers.get("if-none-match", ""):
        return Response(None, 304, {"ETag": tag})
    try:
        decoded = room_of(workspace).decoder.frame(found, number)
    except NoFrameError:
        raise not_found("the image has no such frame") from None
    except ImageError as error:
        raise _not_shown(error) from None
    except MemoryBusyError:
        raise _busy() from None
    return Response(decoded.data, headers={"ETag": tag}, media_type="application/octet-stream")


@router.get("/images/{uid}/thumbnail", response_class=Response)
def thumbnail(uid: Uid, caller: Looking, workspace: Here, request: Request) -> Response:
    """An image, small, as a JPEG."""
    return _thumbnail(_image(workspace, uid), caller, workspace, request)


@router.get("/images/{uid}/document")
def document(uid: Uid, caller: Looking, workspace: Here) -> OutsideDocument:
    """A structured report or a presentation state of others, as text, measurements and marks."""
    found = _image(workspace, uid)
    audit_view(workspace, caller, found.study, "document")
    made = outside_document(found)
    if made is None:
        raise RefusedError(422, "not_shown", "the object is no document, or it cannot be read")
    return made


@router.get("/images/{uid}/pdf", response_class=Response)
def pdf(uid: Uid, caller: Looking, workspace: Here) -> Response:
    """A PDF that is kept in a DICOM object, as it came from others."""
    found = _image(workspace, uid)
    audit_view(workspace, caller, found.study, "document")
    made = encapsulated_pdf(workspace.house.store, found)
    if made is None:
        raise RefusedError(422, "not_shown", "the object holds no PDF, or it cannot be read")
    headers = {"Content-Disposition": 'inline; filename="document.pdf"'}
    return Response(made, headers=headers, media_type="application/pdf")


@router.get("/studies/{study}/graphics")
def graphics(study: Uid, caller: Looking, workspace: Here) -> list[Graphic]:
    """List what others drew on a study's images: presentation states, and the regions of structured reports."""
    require_study(workspace, study)
    audit_view(workspace, caller, study, "graphics")
    return graphics_of_study(workspace.house.store, study)


def _image(workspace: Workspace, uid: str) -> Stored:
    # Not the store's `find`: that gives objects of other patients too, which are kept apart.
    found = find_objects(workspace.house.store, uid=uid)
    if not found:
        raise not_found("there is no such image")
    return found[0]


def _thumbnail(found: Stored, caller: Caller, workspace: Workspace, request: Request) -> Response:
    audit_view(workspace, caller, found.study, "thumbnails")
    tag = f'"{found.digest[:32]}.t.{_VERSION}"'
    if tag in request.headers.get("if-none-match", ""):
        return Response(None, 304, {"ETag": tag})
    try:
        made = room_of(workspace).thumbnails.of(found)
    except ImageError as error:
        raise _not_shown(error) from None
    except MemoryBusyError:
        raise _busy() from None
    return Response(made, headers={"ETag": tag}, media_type="image/jpeg")


def _not_shown(error: ImageError) -> RefusedError:
    return RefusedError(422, "not_shown", f"the image cannot be shown: {str(error).removeprefix('image: ')}")


def _busy() -> RefusedError:
    return RefusedError(503, "busy", "no memory is free for this now; try again", {"Retry-After": str(_BUSY_S)})
