"""Alembic's entry: the connection is the store's own."""

from __future__ import annotations

from alembic import context

import aris.store.intakes.tables
import aris.store.reading.access.tables
import aris.store.reading.lasting_tables
import aris.store.reading.records.tables
import aris.store.reading.tables  # noqa: F401  (the tables make themselves known to Base)
from aris.store.schema import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
