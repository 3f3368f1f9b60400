"""Adapters: PostgreSQL, encoder, retrieval."""
