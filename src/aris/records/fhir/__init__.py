"""FHIR R4: files, folders and servers become timelines."""

from aris.records.fhir.files import record_files, unpacked
from aris.records.fhir.reading import (
    Piece,
    find_resource,
    read_pieces,
    read_timeline,
    read_timelines,
    read_what_can_be,
    timeline_of,
    timelines_of,
)

__all__ = [
    "Piece",
    "find_resource",
    "read_pieces",
    "read_timeline",
    "read_timelines",
    "read_what_can_be",
    "record_files",
    "timeline_of",
    "timelines_of",
    "unpacked",
]
