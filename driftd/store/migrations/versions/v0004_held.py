"""Drifts that are recorded know why they are not told yet."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; what was recorded before is told."""
    op.add_column("episodes", sa.Column("held", sa.Text(), nullable=True))
