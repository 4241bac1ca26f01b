"""The audit record, backups of what is written over, and heals whose end is not known yet."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
_OBJECT = (("group", 256), ("version", 64), ("kind", 256), ("namespace", 256), ("name", 256))


def upgrade() -> None:
    """Make the tables; the audit record begins with the next entry."""
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger(), autoincrement=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("application", sa.String(512), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("entry", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
        sa.UniqueConstraint("id", name="uq_audit_id"),
    )
    op.create_index("ix_audit_application_seq", "audit", ["application", "seq"])
    head = op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_head"),
    )
    op.bulk_insert(head, [{"id": 1, "seq": 0, "digest": ""}])
    op.create_table(
        "backups",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("application", sa.String(512), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("server", sa.Text(), nullable=False),
        *_object(),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("plan", sa.String(64), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_backups"),
    )
    op.create_index("ix_backups_at", "backups", ["at"])
    op.create_table(
        "heals",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("application", sa.String(512), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        *_object(),
        sa.Column("plan", sa.String(64), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("resource_version", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("health", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_heals"),
    )
    op.create_index("ix_heals_application", "heals", ["application"])
    op.create_table(
        "halts",
        sa.Column("application", sa.String(512), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("application", name="pk_halts"),
    )


def _object() -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(length), nullable=False) for name, length in _OBJECT]
