"""Deliveries know their digest, receipt and attempt under way; applications what stands."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; what was recorded before has none of it."""
    op.add_column("applications", sa.Column("standing", sa.Text(), nullable=True))
    op.add_column("deliveries", sa.Column("begun_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("deliveries", sa.Column("receipt", sa.Text(), nullable=True))
    op.add_column("deliveries", sa.Column("digest", sa.String(64), nullable=True))
    merged = sa.text("digest IS NOT NULL")
    op.create_index(
        "ix_deliveries_digest",
        "deliveries",
        ["digest"],
        sqlite_where=merged,
        postgresql_where=merged,
    )
