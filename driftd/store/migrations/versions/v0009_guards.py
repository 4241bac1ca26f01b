"""What the guards of healing remember."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables; every application is met for the first time."""
    op.create_table(
        "guard_states",
        sa.Column("application", sa.String(length=512), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("application", name="pk_guard_states"),
    )
    op.create_table(
        "guard_heals",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("application", sa.String(length=512), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("heal", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_guard_heals"),
    )
    op.create_index("ix_guard_heals_application_at", "guard_heals", ["application", "at"])
    op.create_table(
        "guard_budgets",
        sa.Column("scope", sa.String(length=64), nullable=False),
        sa.Column("full_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("scope", name="pk_guard_budgets"),
    )
