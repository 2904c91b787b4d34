"""Studies that archives elsewhere have, and those that were fetched from there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "remote_studies",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("of_study", sa.String(length=64), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("archive", sa.String(length=64), nullable=False),
        sa.Column("patient_id", sa.String(length=256), nullable=False),
        sa.Column("issuer", sa.String(length=256), nullable=False),
        sa.Column("patient_name", sa.String(length=512), nullable=False),
        sa.Column("birth_date", sa.String(length=8), nullable=False),
        sa.Column("sex", sa.String(length=16), nullable=False),
        sa.Column("date", sa.String(length=8), nullable=False),
        sa.Column("description", sa.String(length=256), nullable=False),
        sa.Column("modalities", sa.Text(), nullable=False),
        sa.Column("instances", sa.Integer(), nullable=True),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_remote_studies")),
        sa.UniqueConstraint("of_study", "study_uid", "archive", name=op.f("uq_remote_studies_of_study")),
    )
    op.create_index("ix_remote_studies_of_study", "remote_studies", ["of_study"])
    op.create_table(
        "fetched_studies",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("archive", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("login", sa.String(length=64), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fetched_studies")),
        sa.UniqueConstraint("study_uid", name=op.f("uq_fetched_studies_study_uid")),
    )


def downgrade() -> None:
    op.drop_table("fetched_studies")
    op.drop_index("ix_remote_studies_of_study", "remote_studies")
    op.drop_table("remote_studies")
