"""The default table: its corpus and its generator."""
