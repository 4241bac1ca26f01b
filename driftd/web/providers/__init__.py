"""What each Git provider posts, and how it proves that it is the one. Pure."""
