"""Tokens that join what people did to what they were shown."""
