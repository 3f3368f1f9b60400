"""The outside systems of the profile service."""
