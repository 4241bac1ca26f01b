"""What looks at objects leave behind for the next one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the table, and the revisions at which nothing differed last."""
    op.add_column(
        "applications",
        sa.Column("clean_revisions", sa.Text(), server_default="[]", nullable=False),
    )
    op.create_table(
        "memories",
        sa.Column("application", sa.String(length=512), nullable=False),
        sa.Column("identity", sa.String(length=64), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("group", sa.String(length=256), nullable=False),
        sa.Column("kind", sa.String(length=256), nullable=False),
        sa.Column("namespace", sa.String(length=256), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("application", "identity", name=op.f("pk_memories")),
    )
    op.create_index("ix_memories_seen_at", "memories", ["seen_at"], unique=False)
