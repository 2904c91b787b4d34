"""FHIR R4: files, folders and servers become timelines."""

from aris.records.fhir.files import record_files, unpacked
from aris.records.fhir.reading import (
    Piece,
    find_resource,
    read_pieces,
    read_timeline,
    read_timelines,
    timeline_of,
    timelines_of,
)

__all__ = [
    "Piece",
    "find_resource",
    "read_pieces",
    "read_timeline",
    "read_timelines",
    "record_files",
    "timeline_of",
    "timelines_of",
    "unpacked",
]
