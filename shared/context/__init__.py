"""Context: what is true for the whole of one request."""
