"""Pagination: page sizes and opaque page tokens (AIP-158)."""
