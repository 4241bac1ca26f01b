"""Clusters: configuration, authentication, discovery and raw reads of live objects."""
