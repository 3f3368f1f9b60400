"""Validation: requests against the constraints written in their schema."""
