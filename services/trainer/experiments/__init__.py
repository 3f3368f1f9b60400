"""Experiments with people: what they are, who takes part, what they led to."""
