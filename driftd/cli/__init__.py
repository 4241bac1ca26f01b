"""The command line: it reads flags, calls the controller once and prints what came back.

Nothing here computes drift. Modules that a start of `driftd --help` does not need are
imported inside the functions that use them.
"""
