"""Putting things back: first as a plan, which is data, then the plan's writes."""
