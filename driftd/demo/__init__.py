"""A demonstration on this machine: simulated clusters, the example repository, `driftd check`."""
