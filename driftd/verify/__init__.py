"""Whether commits and tags carry good signatures by known keys."""
