"""Counts of attempts, and sign-ins under way at a provider, for all processes of a store."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "attempt_buckets",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("left", sa.Float(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_attempt_buckets")),
    )
    op.create_table(
        "pending_sign_ins",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("next", sa.Text(), nullable=False),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column("session", sa.Integer(), nullable=True),
        sa.Column("login", sa.String(length=64), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_pending_sign_ins")),
    )
    op.create_index("ix_pending_sign_ins_began_at", "pending_sign_ins", ["began_at"])


def downgrade() -> None:
    op.drop_index("ix_pending_sign_ins_began_at", "pending_sign_ins")
    op.drop_table("pending_sign_ins")
    op.drop_table("attempt_buckets")
