"""The nouns of driftd: frozen values without input or output, imported by every other package."""
