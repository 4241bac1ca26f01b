"""Settings of the property tests of this package."""

from __future__ import annotations

from hypothesis import settings

# The machine may be busy: no deadline. No database: a found example becomes a test of its own.
settings.register_profile("driftd", deadline=None, database=None, max_examples=60, print_blob=True)
settings.load_profile("driftd")
