"""A series as the viewer lists it: every frame with what must be known of it, in the order of display."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from aris.errors import ArisError
from aris.exchange.dicomweb.opened import position_of
from aris.imaging.dicom.quiet import quiet_pydicom
from aris.imaging.dicom.values import text
from aris.imaging.memory_budget import MemoryBusyError
from aris.service.workspace.images.decoding import FrameDecoder, NoFrameError
from aris.service.workspace.images.describing import UNREADABLE, Described, broken, describe
from aris.service.workspace.images.finding import find_objects
from aris.service.workspace.images.ordering import Position, order
from aris.service.workspace.schemas.images import OtherObject, SeriesImages, Window
from aris.store.objects import byte_order, read_located
from aris.store.store import Store, Stored

# Series that are kept as they were listed, and their frames in all: each takes some kilobytes.
_KEPT, _KEPT_FRAMES = 64, 30_000
_LARGE = 64 << 10
# Frames that are looked at for a window where no header has one, and up to how many images each gets its own.
_SAMPLE, _OWN = 3, 4
NO_PIXELS = "the object has no pixels"
_BY_VALUES = "by the values"
Kind = Literal["sr", "gsps", "document", "other"]
_PREFIXES: dict[Kind, str] = {
    "sr": "1.2.840.10008.5.1.4.1.1.88.", "gsps": "1.2.840.10008.5.1.4.1.1.11.",
    "document": "1.2.840.10008.5.1.4.1.1.104.",
}  # fmt: skip
_KINDS = {"sr": "structured report", "gsps": "presentation state", "document": "document", "other": "object"}


class SeriesLister:
    """Lists the series of a store. Threads share it; what it has listed is kept while the series stays the same."""

    def __init__(self, store: Store, decoder: FrameDecoder) -> None:
        self._store, self._decoder = store, decoder
        self._lock = threading.Lock()
        self._listed: OrderedDict[tuple[str, tuple[str, ...]], SeriesImages] = OrderedDict()

    def listed(self, study: str, series: str) -> SeriesImages | None:
        """A series of a study; None if there is none."""
        found = find_objects(self._store, study=study, series=series)
        if not found:
            return None
        key = (f"{study}/{series}", tuple(each.digest for each in found))
        with self._lock:
            if (known := self._listed.get(key)) is not None:
                self._listed.move_to_end(key)
                return known
        made = self._made(series, found)
        with self._lock:
            self._listed[key] = made
            frames = sum(len(each.images) for each in self._listed.values())
            while len(self._listed) > _KEPT or (frames > _KEPT_FRAMES and len(self._listed) > 1):
                frames -= len(self._listed.popitem(last=False)[1].images)
        return made

    def _made(self, series: str, found: Sequence[Stored]) -> SeriesImages:
        described: list[Described] = []
        other: list[OtherObject] = []
        first: dict[str, str] = {}
        with quiet_pydicom():
            for arrival, each in enumerate(found):
                kind = kind_of(each.sop_class)
                try:
                    dataset = header_of(each)
                except ArisError:
                    described.append(Described(broken(each.uid, UNREADABLE), _last(arrival), False))
                    continue
                if not first:
                    first = {name: text(dataset, name, 256) for name in ("Modality", "SeriesDescription")}
                if kind == "other" and "Rows" in dataset and not _has_pixels(each, dataset):
                    described.append(Described(broken(each.uid, NO_PIXELS), _last(arrival), False))
                elif kind == "other" and "Rows" in dataset:
                    described += describe(dataset, each.uid, each.transfer_syntax, arrival)
                else:
                    other.append(OtherObject(uid=each.uid, sop_class=each.sop_class, kind=kind,
                                             label=_label(dataset, kind)))  # fmt: skip
        ordered = [described[at] for at in order([each.position for each in described])]
        return SeriesImages(
            uid=series,
            modality=first.get("Modality", ""),
            description=first.get("SeriesDescription", ""),
            images=[each.info for each in self._windowed(ordered, {each.uid: each for each in found})],
            other=other,
        )

    def _windowed(self, ordered: list[Described], stored: dict[str, Stored]) -> list[Described]:
        """The frames, each with a window: of a long series one for all, made of a sample of its values."""
        without = [at for at, each in enumerate(ordered) if each.needs_window]
        if not without:
            return ordered
        own = len(without) <= _OWN and not any(ordered[at].position.plane for at in without)
        made = list(ordered)
        sampled = without if own else [without[round(at)] for at in np.linspace(0, len(without) - 1, _SAMPLE)]
        spans = {at: span for at in dict.fromkeys(sampled) if (span := self._span(ordered[at], stored)) is not None}
        if not spans:
            return ordered
        low, high = min(low for low, _ in spans.values()), max(high for _, high in spans.values())
        for at in without:
            ends = spans.get(at, (low, high)) if own else (low, high)
            info = ordered[at].info.model_copy(update={"window": [_window(*ends)]})
            made[at] = Described(info, ordered[at].position, False)
        return made

    def _span(self, one: Described, stored: dict[str, Stored]) -> tuple[float, float] | None:
        """Least and greatest value of a frame; of MR and the like without the few that lie far out."""
        try:
            values = self._decoder.frame(stored[one.info.uid], one.info.frame).values
        except (ArisError, NoFrameError, MemoryBusyError):
            return None
        if one.position.plane is not None:
            low, high = np.percentile(values, (0.5, 99.5))
            return float(low), float(high)
        return float(values.min()), float(values.max())


def _window(low: float, high: float) -> Window:
    # Of a linear window the ends are shown black and white (PS3.3 C.11.2.1.2.1).
    width = max(high - low + 1, 1)
    return Window(center=low + width / 2, width=width, name=_BY_VALUES)


def header_of(each: Stored) -> Any:
    """An object's header, without its large values.

    Raises:
        ArisError: its file is gone or damaged.
    """
    return read_located(each.file, "object", defer=_LARGE)[0]


def _has_pixels(each: Stored, dataset: Any) -> bool:
    """Return whether pixels follow the header; True where that cannot be seen without reading the whole file."""
    end = getattr(dataset, "header_end", None)
    if end is None or byte_order(dataset) == ">":
        return True
    return position_of(each.file, end, implicit=bool(dataset.original_encoding[0])) is not None


def kind_of(sop_class: str) -> Kind:
    """Return what an object is: "sr", "gsps", "document", or "other", which images are too."""
    return next((kind for kind, prefix in _PREFIXES.items() if sop_class.startswith(prefix)), "other")


def _label(dataset: Any, kind: str) -> str:
    if kind == "sr":
        names = dataset.get("ConceptNameCodeSequence")
        told = text(names[0], "CodeMeaning", 128) if names else ""
    elif kind == "gsps":
        told = text(dataset, "ContentDescription", 128) or text(dataset, "ContentLabel", 64)
    else:
        told = text(dataset, "DocumentTitle", 128) or text(dataset, "SeriesDescription", 128)
    return told or _KINDS[kind]


def _last(arrival: int) -> Position:
    return Position("", None, None, 0, 1, (), arrival)
