"""Benchmarks: each prints one table; none of them is a timed test."""
