"""Finds Applications and projects in a repository and expands ApplicationSets."""
