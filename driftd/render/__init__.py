"""Turns the sources of an Application into the objects it declares."""
