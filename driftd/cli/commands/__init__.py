"""One module per command (or per pair of listing commands), imported when the command runs."""
