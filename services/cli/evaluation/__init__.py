"""Measures the quality of recommendations through the code path that serves, beside simple baselines."""
