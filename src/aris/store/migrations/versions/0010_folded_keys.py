"""Folded copies of a study's names and words, and indexes by which the worklist is counted and priors are found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0006"
branch_labels = None
depends_on = None

_AT_ONCE = 1000


def upgrade() -> None:
    op.add_column("studies", sa.Column("name_key", sa.String(length=1024), nullable=False, server_default=""))
    op.add_column("studies", sa.Column("id_key", sa.String(length=512), nullable=False, server_default=""))
    op.add_column("studies", sa.Column("words", sa.Text(), nullable=False, server_default=""))
    _fill(op.get_bind())
    op.create_index("ix_studies_name_key", "studies", ["name_key"])
    op.create_index("ix_studies_id_key", "studies", ["id_key"])
    op.create_index("ix_studies_birth_date", "studies", ["birth_date"])
    op.create_index("ix_series_modality", "series", ["modality"])
    op.create_index("ix_readings_counted", "readings", ["state"], sqlite_where=sa.text("images > 0"),
                    postgresql_where=sa.text("images > 0"))  # fmt: skip
    op.create_index("ix_readings_noticed", "readings", ["state"], sqlite_where=sa.text("notice != ''"),
                    postgresql_where=sa.text("notice != ''"))  # fmt: skip


def _fill(connection: sa.Connection) -> None:
    studies = sa.table(
        "studies",
        *(sa.column(name) for name in ("id", "patient_name", "patient_id", "accession", "description", "name_key",
                                       "id_key", "words")),
    )  # fmt: skip
    wanted = sa.select(studies.c.id, studies.c.patient_name, studies.c.patient_id, studies.c.accession,
                       studies.c.description)  # fmt: skip
    change = studies.update().where(studies.c.id == sa.bindparam("key")).values(
        name_key=sa.bindparam("name"), id_key=sa.bindparam("number"), words=sa.bindparam("said")
    )  # fmt: skip
    after = -1
    while rows := connection.execute(wanted.where(studies.c.id > after).order_by(studies.c.id).limit(_AT_ONCE)).all():
        connection.execute(change, [
            {"key": row.id, "name": row.patient_name.lower(), "number": row.patient_id.lower(),
             "said": "\n".join((row.patient_name, row.patient_id, row.accession, row.description)).lower()}
            for row in rows
        ])  # fmt: skip
        after = rows[-1].id


def downgrade() -> None:
    op.drop_index("ix_readings_noticed", "readings")
    op.drop_index("ix_readings_counted", "readings")
    op.drop_index("ix_series_modality", "series")
    op.drop_index("ix_studies_birth_date", "studies")
    op.drop_index("ix_studies_id_key", "studies")
    op.drop_index("ix_studies_name_key", "studies")
    op.drop_column("studies", "words")
    op.drop_column("studies", "id_key")
    op.drop_column("studies", "name_key")
