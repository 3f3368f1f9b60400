"""One servicer a public service."""
