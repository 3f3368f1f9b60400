"""Numbered migrations of the schema `catalog`."""
