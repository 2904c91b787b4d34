"""An archive as a DICOM node: C-FIND, and C-GET or C-MOVE (PS3.4 annex C, Study Root)."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aris.errors import ExchangeError, StoreError
from aris.exchange.archives.found import MOST_OBJECTS, MOST_STUDIES, RETURNED, FoundStudy, Keep, is_uid, questions
from aris.exchange.node.peers import TRANSFER_SYNTAXES, Peer, network, new_entity
from aris.imaging.dicom.patients import Patient
from aris.imaging.dicom.quiet import quiet_pydicom
from aris.imaging.dicom.values import plain_day, text
from aris.store.objects import file_bytes, identity, number, parse

_FIND, _MOVE, _GET = (f"1.2.840.10008.5.1.4.1.2.2.{each}" for each in (1, 2, 3))
_PENDING = (0xFF00, 0xFF01)
# One context is for C-GET itself; the others for the kinds of objects (PS3.8 9.3.2.2).
_KINDS = 127


def find_studies(
    peer: Peer, patient: Patient, *, ae_title: str = "ARIS", tls: ssl.SSLContext | None = None, timeout_s: float = 30.0
) -> list[FoundStudy]:
    """The studies that an archive has of a patient, and of others who may be him. Compare before you use them.

    Raises:
        ExchangeError: it cannot be reached, or refuses.
    """
    made: dict[str, FoundStudy] = {}
    asked = questions(patient)
    if not asked:
        return []
    with _association(peer, _entity(ae_title, timeout_s, _FIND), tls) as association, quiet_pydicom():
        for keys in asked:
            for status, found in association.send_c_find(_query(keys), _FIND):
                code = _code(status)
                if code in _PENDING:
                    if found is not None and (study := _study(found)) is not None:
                        made.setdefault(study.uid, study)
                    if len(made) > MOST_STUDIES:
                        raise ExchangeError(f"{peer}: gives more than {MOST_STUDIES:,} studies of one patient")
                elif code != 0:
                    raise ExchangeError(f"{peer}: cannot be queried ({_said(code)})")
    return list(made.values())


def get_study(
    peer: Peer, study: str, keep: Keep, *, ae_title: str = "ARIS", tls: ssl.SSLContext | None = None,
    timeout_s: float = 120.0,
) -> int:  # fmt: skip
    """Fetch a study by C-GET: its objects come on the same connection. How many were kept.

    Args:
        keep: is called with each object of this study; an object of another one is refused.

    Raises:
        ExchangeError: it cannot be reached, refuses, or did not give all of it.
    """
    pynetdicom = network()
    entity = _entity(ae_title, timeout_s, _GET)
    kinds = [each.abstract_syntax for each in pynetdicom.StoragePresentationContexts[:_KINDS]]
    for kind in kinds:
        entity.add_requested_context(kind, TRANSFER_SYNTAXES)
    kept = 0

    def stored(event: Any) -> int:
        nonlocal kept
        try:
            sop_class, uid = str(event.request.AffectedSOPClassUID), str(event.request.AffectedSOPInstanceUID)
            data = file_bytes(
                event.encoded_dataset(include_meta=False), sop_class, uid, str(event.context.transfer_syntax)
            )
            if kept >= MOST_OBJECTS or identity(parse(data, "object", pixels=False), "object").study != study:
                return 0xA900  # not what was asked for
            keep(data)
        except StoreError:
            return 0xA700
        except Exception:  # pydicom raises many kinds on odd objects
            return 0xC000
        kept += 1
        return 0

    roles = [pynetdicom.build_role(kind, scp_role=True) for kind in kinds]
    handlers = [(pynetdicom.evt.EVT_C_STORE, stored)]
    with _association(peer, entity, tls, ext_neg=roles, evt_handlers=handlers) as association, quiet_pydicom():
        _retrieved(peer, association.send_c_get(_level(study), _GET))
    return kept


def move_study(
    peer: Peer, study: str, to: str, *, ae_title: str = "ARIS", tls: ssl.SSLContext | None = None,
    timeout_s: float = 600.0,
) -> int:  # fmt: skip
    """Have a study sent to a node by C-MOVE: ours, whose AE title and address the archive must know. How many came.

    Args:
        to: AE title of the node.

    Raises:
        ExchangeError: it cannot be reached, refuses, or could not send all of it.
    """
    with _association(peer, _entity(ae_title, timeout_s, _MOVE), tls) as association, quiet_pydicom():
        return _retrieved(peer, association.send_c_move(_level(study), to, _MOVE))


def _retrieved(peer: Peer, answers: Iterator[tuple[Any, Any]]) -> int:
    """The number of objects that came, once the archive has said that it gave them all."""
    completed = failed = 0
    code: int | None = None
    for status, _ in answers:
        code = _code(status)
        completed = max(completed, int(getattr(status, "NumberOfCompletedSuboperations", None) or 0))
        failed = max(failed, int(getattr(status, "NumberOfFailedSuboperations", None) or 0))
    if code == 0xA801:
        raise ExchangeError(f"{peer}: does not know the node that the study is to go to; add it there")
    if code != 0 or failed:
        why = f"{failed} objects failed" if failed else _said(code)
        raise ExchangeError(f"{peer}: did not give the whole study ({why})")
    return completed


def _entity(ae_title: str, timeout_s: float, context: str) -> Any:
    entity = new_entity(ae_title, timeout_s)
    entity.connection_timeout = min(timeout_s, 30.0)
    entity.add_requested_context(context)
    return entity


@contextmanager
def _association(peer: Peer, entity: Any, tls: ssl.SSLContext | None, **more: Any) -> Iterator[Any]:
    arguments = {"tls_args": (tls, peer.host)} if tls is not None else {}
    association = entity.associate(peer.host, peer.port, ae_title=peer.ae_title, **arguments, **more)
    if not association.is_established:
        raise ExchangeError(f"{peer}: the archive cannot be reached, or refuses us; check host, port and AE titles")
    try:
        yield association
    except ValueError:  # pynetdicom: no accepted context
        raise ExchangeError(f"{peer}: does not offer this service (query, C-GET or C-MOVE)") from None
    finally:
        if association.is_established:
            association.release()


def _query(keys: dict[str, str]) -> Any:
    from pydicom import Dataset

    asked = Dataset()
    asked.SpecificCharacterSet = "ISO_IR 192"
    asked.QueryRetrieveLevel = "STUDY"
    for keyword in RETURNED:
        setattr(asked, keyword, None if keyword == "NumberOfStudyRelatedInstances" else "")
    for keyword, value in keys.items():
        setattr(asked, keyword, value)
    return asked


def _level(study: str) -> Any:
    from pydicom import Dataset

    asked = Dataset()
    asked.QueryRetrieveLevel, asked.StudyInstanceUID = "STUDY", study
    return asked


def _study(found: Any) -> FoundStudy | None:
    if getattr(found, "SpecificCharacterSet", None):
        found.decode()
    uid = text(found, "StudyInstanceUID", 64)
    if not is_uid(uid):
        return None
    kinds = text(found, "ModalitiesInStudy", 256).split("\\")
    return FoundStudy(
        uid=uid, patient=Patient.of(found), date=plain_day(text(found, "StudyDate", 10))[:8],
        time=text(found, "StudyTime", 16).partition(".")[0], description=text(found, "StudyDescription", 256),
        accession=text(found, "AccessionNumber", 64), modalities=tuple(sorted(each for each in kinds if each)),
        instances=number(found, "NumberOfStudyRelatedInstances"),
    )  # fmt: skip


def _code(status: Any) -> int | None:
    return status.get("Status") if status else None


def _said(code: int | None) -> str:
    return "no answer" if code is None else f"status {code:04X}"
