"""Server interceptors, one a file; their order stands in ``order.py``."""
