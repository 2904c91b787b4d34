"""STOW-RS (PS3.18 10.5): objects of a multipart body into the store, and what became of each."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aris.errors import StoreError
from aris.exchange.dicomweb.media import DICOM, content_type
from aris.exchange.dicomweb.multipart import Part
from aris.exchange.node.log_limits import Repeats
from aris.store.files import StoreFullError
from aris.store.objects import Identity, MismatchError, ObjectError, canonical, identity, parse

if TYPE_CHECKING:
    from aris.store.store import Added, Store, Stored

log = logging.getLogger("aris.dicomweb")
log.addFilter(Repeats())

# PS3.18 I.2.2, whose codes are those of C-STORE (PS3.4 B.2.3).
FULL, MISMATCH, NOT_UNDERSTOOD, FAILED = 0xA700, 0xA900, 0xC000, 0x0110
# Warnings of our own in the range of warnings, the node's too: another content came under a UID that is taken (both are
# kept, and the first stays the instance); the object names another patient than the study or object of its UIDs does
# (it is kept apart from them).
KEPT_BESIDE, KEPT_APART = 0xB00E, 0xB00F
_WARNINGS = {
    "kept beside": (KEPT_BESIDE, "another content under a known UID; both are kept"),
    "kept apart": (KEPT_APART, "another patient under a known UID; the object is kept apart"),
}
RETRY_AFTER_S = 60


@dataclass
class Storing:
    """Store request in progress.

    Attributes:
        store: keeps what comes.
        base: the service's URL, for the addresses in the answer.
        study: that every object must be of; "" for any.
        source: who sends, for the store.
        added: what was kept, in the order of its arrival.
    """

    store: Store
    base: str
    study: str = ""
    source: str = ""
    added: list[Added] = field(default_factory=list)
    _stored: list[dict[str, Any]] = field(default_factory=list)
    _failed: list[dict[str, Any]] = field(default_factory=list)
    _unknown: list[int] = field(default_factory=list)
    _warned: bool = False
    _too_large: bool = False
    _studies: set[str] = field(default_factory=set)

    def add(self, part: Part) -> None:
        """Keep one part's object; when this returns it is on the disk and indexed, or noted as failed."""
        known: Identity | None = None
        try:
            if part.too_large:
                self._too_large = True
                raise StoreFullError("the object is larger than this server takes")
            if not part.data:
                raise ObjectError("a part is empty")
            if content_type(part.headers.get("content-type", DICOM))[0] != DICOM:
                raise ObjectError("a part is not declared as application/dicom")
            known = identity(parse(part.data, "object", pixels=False), "object")
            if self.study not in ("", known.study):
                raise MismatchError("the object is of another study than the address names")
            data = canonical(part.data, known)
            added = self.store.add(data, source=self.source, expect=(known.uid, known.sop_class))
        except StoreFullError:
            self._fail(known, FULL, "it is too large" if part.too_large else "the disk is full")
        except MismatchError:
            self._fail(known, MISMATCH, "it is not of the study that the address names")
        except ObjectError:
            self._fail(known, NOT_UNDERSTOOD, "not a whole DICOM object")
        except StoreError as error:
            self._fail(known, FAILED, str(error))
        except Exception as error:
            # The type alone: a message may quote the object.
            self._fail(known, FAILED, type(error).__name__)
        else:
            self._keep(added, known)

    def answer(self) -> tuple[int, dict[str, Any], int | None]:
        """The response: HTTP status, dataset (DICOM JSON, PS3.18 10.5.3.2), and when to retry.

        200 all are stored; 202 some are, or one with a warning; 409 none; 503 none, for want of room. 400 nothing came.
        """
        made: dict[str, Any] = {}
        if len(self._studies) == 1:
            made["00081190"] = _uri(f"{self.base}/studies/{next(iter(self._studies))}")
        if self._failed:
            made["00081198"] = {"vr": "SQ", "Value": self._failed}
        if self._stored:
            made["00081199"] = {"vr": "SQ", "Value": self._stored}
        if self._unknown:
            others = [{"00081197": _code(reason)} for reason in self._unknown]
            made["0008119A"] = {"vr": "SQ", "Value": others}
        reasons = {item["00081197"]["Value"][0] for item in self._failed} | set(self._unknown)
        if not self._stored:
            if not reasons:
                return 400, made, None
            # Too large stays too large; a disk can be made room on.
            return (503, made, RETRY_AFTER_S) if reasons == {FULL} and not self._too_large else (409, made, None)
        return 202 if reasons or self._warned else 200, made, None

    def _keep(self, added: Added, known: Identity) -> None:
        self.added.append(added)
        self._studies.add(known.study)
        location: Identity | Stored = known
        if added.outcome == "kept beside":
            # The first may be of another study or series: there it is retrieved.
            location = self.store.find(known.uid) or known
        at = f"{self.base}/studies/{location.study}/series/{location.series}/instances/{known.uid}"
        item = _reference(known) | {"00081190": _uri(at)}
        if added.outcome in _WARNINGS:
            code, said = _WARNINGS[added.outcome]
            log.warning(f"STOW-RS: {said}")
            item["00081196"] = _code(code)
            self._warned = True
        elif added.outcome == "repaired":
            log.warning("STOW-RS: an object was damaged on the disk, and is whole again")
        self._stored.append(item)

    def _fail(self, known: Identity | None, reason: int, why: str) -> None:
        log.log(logging.ERROR if reason in (FULL, FAILED) else logging.WARNING, f"STOW-RS: an object refused: {why}")
        if known is None:
            self._unknown.append(reason)
        else:
            self._failed.append(_reference(known) | {"00081197": _code(reason)})


def _reference(known: Identity) -> dict[str, Any]:
    return {"00081150": {"vr": "UI", "Value": [known.sop_class]}, "00081155": {"vr": "UI", "Value": [known.uid]}}


def _uri(url: str) -> dict[str, Any]:
    return {"vr": "UR", "Value": [url]}


def _code(reason: int) -> dict[str, Any]:
    return {"vr": "US", "Value": [reason]}
