"""The tables, the same on SQLite and PostgreSQL. Migrations bring a database to this state."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC; SQLite, which keeps no zone, gets and gives UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database: UTC, without zone where the database has none."""
        if value is None:
            return None
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database: always with zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


BigId = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only in INTEGER columns."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

applications = Table(
    "applications",
    metadata,
    Column("name", String(512), primary_key=True),
    Column("cluster", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("report", Text, nullable=False),
    Column("observed_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("clean_revisions", Text, nullable=False, server_default="[]"),
    Column("told", String(16), nullable=True),
    Column("began_at", UtcDateTime, nullable=True),
    Column("standing", Text, nullable=True),
)

memories = Table(
    "memories",
    metadata,
    Column("application", String(512), primary_key=True),
    Column("identity", String(64), primary_key=True),
    Column("cluster", Text, nullable=False),
    Column("group", String(256), nullable=False),
    Column("kind", String(256), nullable=False),
    Column("namespace", String(256), nullable=False),
    Column("name", String(256), nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Index("ix_memories_seen_at", "seen_at"),
)
"""What looks at an object left behind for the next one, by application and digest of the rest."""

clusters = Table(
    "clusters",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("server", Text, nullable=False),
    Column("uid", Text, nullable=False),
    Column("pinned_at", UtcDateTime, nullable=False),
)
"""Which cluster answers at an address: the uid of its namespace kube-system."""

guard_states = Table(
    "guard_states",
    metadata,
    Column("application", String(512), primary_key=True),
    Column("state", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)
"""What the guards of healing remember of an application."""

guard_heals = Table(
    "guard_heals",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("application", String(512), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("heal", Text, nullable=False),
    Index("ix_guard_heals_application_at", "application", "at"),
)
"""Writes that were intended lately."""

guard_budgets = Table(
    "guard_budgets",
    metadata,
    Column("scope", String(64), primary_key=True),
    Column("full_at", UtcDateTime, nullable=False),
)
"""When the budget of an application or a cluster, named by a digest, is full again."""

episodes = Table(
    "episodes",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("application", String(512), nullable=False),
    Column("identity", String(64), nullable=False),
    Column("cluster", Text, nullable=False),
    Column("group", String(256), nullable=False),
    Column("kind", String(256), nullable=False),
    Column("namespace", String(256), nullable=False),
    Column("name", String(256), nullable=False),
    Column("path", Text, nullable=False),
    Column("change_kind", String(32), nullable=False),
    Column("change", Text, nullable=True),
    Column("first_seen", UtcDateTime, nullable=False),
    Column("last_seen", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime, nullable=True),
    Column("clean_at", UtcDateTime, nullable=True),
    Column("whole", Text, nullable=True),
    Column("severity", String(16), nullable=False, server_default=""),
    Column("rate", Float, nullable=False, server_default="1"),
    Column("ending", String(16), nullable=True),
    Column("ended_by", Text, nullable=False, server_default=""),
    Column("held", Text, nullable=True),
    Column("steps", Text, nullable=True),
)
_open = text("closed_at IS NULL")
Index(
    "uq_episodes_open",
    episodes.c.application,
    episodes.c.identity,
    unique=True,
    sqlite_where=_open,
    postgresql_where=_open,
)
Index("ix_episodes_closed_at", episodes.c.closed_at)
Index("ix_episodes_application_identity", episodes.c.application, episodes.c.identity)

history = Table(
    "history",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("application", String(512), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("data", Text, nullable=False),
    Index("ix_history_application_at", "application", "at"),
    Index("ix_history_at", "at"),
)

messages = Table(
    "messages",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("application", String(512), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("payload", LargeBinary, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("seq", BigId, primary_key=True, autoincrement=True),
    Column("message", String(64), ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),
    Column("target", String(128), nullable=False),
    Column("application", String(512), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("settled_at", UtcDateTime, nullable=True),
    Column("delivered", Boolean, nullable=False),
    Column("error", Text, nullable=False),
    Column("begun_at", UtcDateTime, nullable=True),
    Column("receipt", Text, nullable=True),
    Column("digest", String(64), nullable=True),
    UniqueConstraint("message", "target"),
    Index(
        "ix_deliveries_unsettled",
        "target",
        "application",
        "seq",
        sqlite_where=text("settled_at IS NULL"),
        postgresql_where=text("settled_at IS NULL"),
    ),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("id", String(64), nullable=False, unique=True),
    Column("at", UtcDateTime, nullable=False),
    Column("application", String(512), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("entry", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Index("ix_audit_application_seq", "application", "seq"),
)
"""What was decided, written and done by people; each entry's digest covers the one before."""

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
)
"""One row: the last entry of the audit record, apart from it, and the lock of those who append."""

backups = Table(
    "backups",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("application", String(512), nullable=False),
    Column("cluster", Text, nullable=False),
    Column("server", Text, nullable=False),
    Column("group", String(256), nullable=False),
    Column("version", String(64), nullable=False),
    Column("kind", String(256), nullable=False),
    Column("namespace", String(256), nullable=False),
    Column("name", String(256), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("plan", String(64), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Index("ix_backups_at", "at"),
)
"""Live manifests as they were before driftd wrote over them, encrypted."""

heals = Table(
    "heals",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("application", String(512), nullable=False),
    Column("cluster", Text, nullable=False),
    Column("group", String(256), nullable=False),
    Column("version", String(64), nullable=False),
    Column("kind", String(256), nullable=False),
    Column("namespace", String(256), nullable=False),
    Column("name", String(256), nullable=False),
    Column("plan", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("resource_version", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("health", String(16), nullable=False),
    Index("ix_heals_application", "application"),
)
"""Writes that are intended or not known to have ended well yet; a row goes when that is known."""

halts = Table(
    "halts",
    metadata,
    Column("application", String(512), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("why", Text, nullable=False),
)
"""Applications that are healed no more until a person says so: a heal made something worse."""

_merged = text("digest IS NOT NULL")
Index(
    "ix_deliveries_digest",
    deliveries.c.digest,
    sqlite_where=_merged,
    postgresql_where=_merged,
)
