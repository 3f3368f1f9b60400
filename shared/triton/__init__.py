"""Triton, for every service that runs models on it."""
