"""A part of a real API server's OpenAPI v3 documents, for comparisons without a server."""
