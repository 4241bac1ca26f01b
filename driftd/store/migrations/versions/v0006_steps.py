"""Episodes keep the values that a field had while it was open."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; what was recorded before has no such values."""
    op.add_column("episodes", sa.Column("steps", sa.Text(), nullable=True))
