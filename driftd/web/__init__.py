"""What driftd serves over HTTP."""
