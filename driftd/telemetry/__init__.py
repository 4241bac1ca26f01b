"""What driftd says about itself: log lines and metrics."""
