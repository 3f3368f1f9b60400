"""Owns products, their price and stock, and the change feed that keeps the index fresh."""
