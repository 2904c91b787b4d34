"""Store of studies, series, instances and their files. What was added survives whatever happens next.

`store.Store` needs SQLAlchemy and alembic (extra `dicom`); `objects` and `files` do not.
"""
