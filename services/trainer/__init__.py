"""Learns from events and serves releases."""
