"""Real Kubernetes control planes for tests, started from binaries built on this machine."""
