"""Clients: channels to other services."""
