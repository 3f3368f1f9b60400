"""Answers customers from the shop's own documents."""
