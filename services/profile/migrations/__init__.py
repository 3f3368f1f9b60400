"""Numbered migrations of the schema ``profile``."""
