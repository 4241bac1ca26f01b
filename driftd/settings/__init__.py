"""The settings of `driftd`: types, and how file, environment and flags are layered."""
