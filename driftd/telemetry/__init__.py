"""What driftd says about itself: log lines and metrics."""

is_program = False
"""Whether this process is the program `driftd`: its standard output is for what was asked for."""
