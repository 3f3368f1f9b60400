"""Adapters: PostgreSQL, encoder, retrieval, quoting."""
