"""Measures of recommenders and the statistics that compare them: arrays in, arrays out, no input or output."""
