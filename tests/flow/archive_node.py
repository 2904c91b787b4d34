"""An archive for tests: a DICOM node (pynetdicom's) that answers C-FIND, C-GET and C-MOVE from objects in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, evt

_FIND, _MOVE, _GET = (f"1.2.840.10008.5.1.4.1.2.2.{each}" for each in (1, 2, 3))


class ArchiveNode:
    """Has objects, and gives them.

    Attributes:
        asked: identifiers of queries.
        nodes: addresses by AE title, of where it may move to.
        broken: the object that it fails to send.
    """

    def __init__(self, objects: list[Any]) -> None:
        self.objects, self.asked, self.nodes = objects, [], {}  # type: ignore[var-annotated]
        self.says: dict[str, str] = {}

    @contextmanager
    def running(self) -> Iterator[str]:
        entity = AE(ae_title="ARCHIVE")
        for each in (_FIND, _MOVE, _GET):
            entity.add_supported_context(each)
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(context.abstract_syntax, scu_role=True, scp_role=True)
            if len(entity.requested_contexts) < 127:
                entity.add_requested_context(str(context.abstract_syntax))
        handlers: Any = [(evt.EVT_C_FIND, self._find), (evt.EVT_C_GET, self._get), (evt.EVT_C_MOVE, self._move)]
        server: Any = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        try:
            yield f"ARCHIVE@127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()

    def _studies(self) -> dict[str, list[Any]]:
        made: dict[str, list[Any]] = {}
        for each in self.objects:
            made.setdefault(str(each.StudyInstanceUID), []).append(each)
        return made

    def _find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        keys = event.identifier
        self.asked.append({each.keyword: str(each.value) for each in keys if each.value})
        for uid, objects in self._studies().items():
            first, found = objects[0], Dataset()
            family = str(keys.get("PatientName", "")).rstrip("*")
            if str(keys.get("PatientID", "")) not in ("", str(first.PatientID)):
                continue
            if family and not str(first.PatientName).startswith(family):
                continue
            if str(keys.get("PatientBirthDate", "")) not in ("", str(first.PatientBirthDate)):
                continue
            found.SpecificCharacterSet, found.StudyInstanceUID = "ISO_IR 192", uid
            for name in ("StudyDate", "StudyDescription", "PatientName", "PatientID", "PatientBirthDate", "PatientSex"):
                setattr(found, name, self.says.get(name, getattr(first, name)))
            found.IssuerOfPatientID = getattr(first, "IssuerOfPatientID", "")
            found.ModalitiesInStudy, found.NumberOfStudyRelatedInstances = ["DX", "SR"], len(objects)
            yield 0xFF00, found

    def _chosen(self, event: Any) -> list[Any]:
        return self._studies().get(str(event.identifier.StudyInstanceUID), [])

    def _get(self, event: Any) -> Iterator[Any]:
        chosen = self._chosen(event)
        yield len(chosen)
        for each in chosen:
            yield 0xFF00, each

    def _move(self, event: Any) -> Iterator[Any]:
        host, port = self.nodes.get(event.move_destination, (None, None))
        if host is None:
            yield None, None
            return
        yield host, port
        chosen = self._chosen(event)
        yield len(chosen)
        for each in chosen:
            yield 0xFF00, each
