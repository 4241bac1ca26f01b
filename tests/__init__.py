"""Everything that proves what driftd says of itself."""
