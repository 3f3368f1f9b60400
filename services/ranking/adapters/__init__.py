"""Adapters: the trainer."""
