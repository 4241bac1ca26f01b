"""Judges what is allowed, ignored, reported or healed; pure."""
