"""Episodes know how they began and ended, and applications what was told of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the columns; what was recorded before has no such knowledge."""
    op.add_column("applications", sa.Column("told", sa.String(length=16), nullable=True))
    op.add_column("applications", sa.Column("began_at", MOMENT, nullable=True))
    for column in (
        sa.Column("clean_at", MOMENT, nullable=True),
        sa.Column("whole", sa.Text(), nullable=True),
        sa.Column("severity", sa.String(length=16), server_default="", nullable=False),
        sa.Column("rate", sa.Float(), server_default="1", nullable=False),
        sa.Column("ending", sa.String(length=16), nullable=True),
        sa.Column("ended_by", sa.Text(), server_default="", nullable=False),
    ):
        op.add_column("episodes", column)
    op.create_index(
        "ix_episodes_application_identity", "episodes", ["application", "identity"], unique=False
    )
