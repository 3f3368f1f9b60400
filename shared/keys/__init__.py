"""Secrets that an installation makes for itself."""
