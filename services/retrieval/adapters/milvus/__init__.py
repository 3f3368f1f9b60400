"""Milvus: Lite as a local server, standalone or cluster, by the same code."""
