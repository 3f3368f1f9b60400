"""Reads files, maps them to the contract and sends them in acknowledged batches."""
