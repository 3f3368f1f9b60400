"""Turns texts and products into vectors: tokenises, asks Triton, caches."""
