"""The reading room's books: orders, reading states, drafts, edits, signed reports, deliveries, users, the audit trail.

One module a subject, whose functions work in a session; `sessions.Sessions` gives transactions. Nothing here refers to
the index of objects but by Study Instance UID, so that the index can be made anew without losing a report.
"""

from __future__ import annotations


def reading_tables() -> list[str]:
    """The names of the reading room's tables, each after those that it refers to."""
    from aris.store.intakes import tables as intake_tables
    from aris.store.reading import lasting_tables, tables
    from aris.store.reading.access import tables as access_tables
    from aris.store.reading.records import tables as records_tables
    from aris.store.schema import Base

    modules = (lasting_tables, tables, access_tables, intake_tables, records_tables)
    ours = {each.__name__ for each in modules}
    names = {mapper.class_.__tablename__ for mapper in Base.registry.mappers if mapper.class_.__module__ in ours}
    return [table.name for table in Base.metadata.sorted_tables if table.name in names]
