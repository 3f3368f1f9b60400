"""Numbered migrations of the schema `support`."""
