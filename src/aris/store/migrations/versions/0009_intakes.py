"""Intakes of patients with the marks of who has seen them, and answers from the literature that readers keep."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "intakes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("link", sa.String(length=64), nullable=True),
        sa.Column("patient", sa.String(length=64), nullable=True),
        sa.Column("patient_id", sa.String(length=256), nullable=False),
        sa.Column("issuer", sa.String(length=256), nullable=False),
        sa.Column("patient_name", sa.String(length=512), nullable=False),
        sa.Column("birth_date", sa.String(length=8), nullable=False),
        sa.Column("sex", sa.String(length=16), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("made_by", sa.String(length=64), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("asked", sa.Integer(), nullable=False),
        sa.Column("complaint", sa.String(length=256), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_intakes")),
        sa.UniqueConstraint("name", name=op.f("uq_intakes_name")),
    )
    op.create_index("ix_intakes_list", "intakes", ["status", "rank"])
    op.create_index("ix_intakes_patient_id", "intakes", ["patient_id"])
    op.create_table(
        "intake_marks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("intake_pk", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("how", sa.String(length=64), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("login", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["intake_pk"], ["intakes.id"], name=op.f("fk_intake_marks_intake_pk_intakes")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_intake_marks")),
    )
    op.create_index("ix_intake_marks_intake_pk", "intake_marks", ["intake_pk"])
    op.create_table(
        "saved_answers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_pk", sa.Integer(), nullable=False),
        sa.Column("library", sa.String(length=64), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_pk"], ["users.id"], name=op.f("fk_saved_answers_user_pk_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_answers")),
    )
    op.create_index("ix_saved_answers_user_pk", "saved_answers", ["user_pk"])


def downgrade() -> None:
    op.drop_index("ix_saved_answers_user_pk", "saved_answers")
    op.drop_table("saved_answers")
    op.drop_index("ix_intake_marks_intake_pk", "intake_marks")
    op.drop_table("intake_marks")
    op.drop_index("ix_intakes_patient_id", "intakes")
    op.drop_index("ix_intakes_list", "intakes")
    op.drop_table("intakes")
