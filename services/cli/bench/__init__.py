"""Measures latency and throughput beside the floor of the same machine."""
