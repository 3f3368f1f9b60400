"""Breaks a running suite on purpose, one fault at a time under steady traffic, and reports what callers saw."""
