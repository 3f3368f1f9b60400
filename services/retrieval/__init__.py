"""Retrieval: vector and keyword indexes in Milvus, and the channels that bring candidates."""
