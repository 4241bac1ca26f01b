"""Inputs and expected answers."""
