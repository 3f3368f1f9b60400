"""Adapters: PostgreSQL, the profile service."""
