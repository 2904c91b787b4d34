"""Patients' records, the watch over them, its alarms, and what people did about those."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = (
    "record_files", "records", "record_parts", "record_identifiers", "watched_records", "alarms", "alarm_acts",
    "rule_switches",
)  # fmt: skip
# Rows of these are added, never changed or removed.
LASTING = ("alarms", "alarm_acts", "rule_switches")


def upgrade() -> None:
    op.create_table(
        "record_files",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=96), nullable=False),
        sa.Column("name", sa.String(length=1024), nullable=False),
        sa.Column("print", sa.String(length=80), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("login", sa.String(length=64), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_record_files")),
        sa.UniqueConstraint("source", "name", name=op.f("uq_record_files_source")),
    )
    op.create_table(
        "records",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=96), nullable=False),
        sa.Column("key", sa.String(length=160), nullable=False),
        sa.Column("patient", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=512), nullable=False),
        sa.Column("birth_date", sa.String(length=10), nullable=False),
        sa.Column("sex", sa.String(length=16), nullable=False),
        sa.Column("identifiers", sa.Text(), nullable=False),
        sa.Column("searched", sa.Text(), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("newest", sa.DateTime(timezone=True), nullable=True),
        sa.Column("print", sa.String(length=80), nullable=False),
        sa.Column("gone", sa.Boolean(), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_records")),
        sa.UniqueConstraint("source", "key", name=op.f("uq_records_source")),
    )
    op.create_index("ix_records_birth_date", "records", ["birth_date"])
    op.create_index("ix_records_name", "records", ["name"])
    op.create_table(
        "record_parts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("record_pk", sa.Integer(), nullable=False),
        sa.Column("file_pk", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["record_pk"], ["records.id"], name=op.f("fk_record_parts_record_pk")),
        sa.ForeignKeyConstraint(["file_pk"], ["record_files.id"], name=op.f("fk_record_parts_file_pk")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_record_parts")),
        sa.UniqueConstraint("record_pk", "file_pk", name=op.f("uq_record_parts_record_pk")),
    )
    op.create_index("ix_record_parts_file_pk", "record_parts", ["file_pk"])
    op.create_table(
        "record_identifiers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("record_pk", sa.Integer(), nullable=False),
        sa.Column("value", sa.String(length=256), nullable=False),
        sa.ForeignKeyConstraint(["record_pk"], ["records.id"], name=op.f("fk_record_identifiers_record_pk")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_record_identifiers")),
    )
    op.create_index("ix_record_identifiers_record_pk", "record_identifiers", ["record_pk"])
    op.create_index("ix_record_identifiers_value", "record_identifiers", ["value"])
    op.create_table(
        "watched_records",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("record_pk", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("print", sa.String(length=80), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("found", sa.Text(), nullable=False),
        sa.Column("judged_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["record_pk"], ["records.id"], name=op.f("fk_watched_records_record_pk")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_watched_records")),
        sa.UniqueConstraint("record_pk", name=op.f("uq_watched_records_record_pk")),
    )
    op.create_index("ix_watched_records_due_at", "watched_records", ["due_at"])
    op.create_table(
        "alarms",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("record_pk", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("episode", sa.String(length=64), nullable=False),
        sa.Column("event", sa.String(length=16), nullable=False),
        sa.Column("rule", sa.String(length=64), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["record_pk"], ["records.id"], name=op.f("fk_alarms_record_pk")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarms")),
        sa.UniqueConstraint("record_pk", "key", name=op.f("uq_alarms_record_pk")),
    )
    op.create_index("ix_alarms_episode", "alarms", ["record_pk", "episode"])
    op.create_index("ix_alarms_rule", "alarms", ["rule"])
    op.create_table(
        "alarm_acts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("record_pk", sa.Integer(), nullable=False),
        sa.Column("episode", sa.String(length=64), nullable=False),
        sa.Column("act", sa.String(length=16), nullable=False),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("login", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["record_pk"], ["records.id"], name=op.f("fk_alarm_acts_record_pk")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm_acts")),
    )
    op.create_index("ix_alarm_acts_episode", "alarm_acts", ["record_pk", "episode"])
    op.create_table(
        "rule_switches",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("rule", sa.String(length=64), nullable=False),
        sa.Column("on", sa.Boolean(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("login", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rule_switches")),
    )
    op.create_index("ix_rule_switches_rule", "rule_switches", ["rule"])
    for table in LASTING:
        _protect(table)


def downgrade() -> None:
    for table in LASTING:
        _unprotect(table)
    for table in reversed(TABLES):
        op.drop_table(table)


def _protect(table: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        # The function is migration 0003's.
        op.execute(
            f"CREATE TRIGGER {table}_lasting BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION aris_lasting()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_whole BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION aris_lasting()"
        )
        return
    for event in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{event.lower()} BEFORE {event} ON {table} BEGIN "
            f"SELECT RAISE(ABORT, 'rows of {table} are never changed or removed'); END"
        )


def _unprotect(table: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"DROP TRIGGER {table}_lasting ON {table}")
        op.execute(f"DROP TRIGGER {table}_whole ON {table}")
        return
    for event in ("update", "delete"):
        op.execute(f"DROP TRIGGER {table}_no_{event}")
