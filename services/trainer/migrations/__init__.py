"""Numbered migrations of the schema `trainer`."""
