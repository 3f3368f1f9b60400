"""Writes the text encoder into a Triton model repository: exported once, served without torch."""
