"""Random changes on a real API server: what driftd must find, told by an independent diff."""
