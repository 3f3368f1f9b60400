"""Data sets: from streamed events to verified folders that jobs learn from."""
