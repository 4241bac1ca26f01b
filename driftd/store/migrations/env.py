"""Run by Alembic: migrates over the connection that the store hands in."""

from __future__ import annotations

from alembic import context

from driftd.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
