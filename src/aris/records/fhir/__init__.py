"""FHIR R4: files, folders and servers become timelines."""

from aris.records.fhir.reading import read_timeline, read_timelines, read_what_can_be, timeline_of, timelines_of

__all__ = ["read_timeline", "read_timelines", "read_what_can_be", "timeline_of", "timelines_of"]
