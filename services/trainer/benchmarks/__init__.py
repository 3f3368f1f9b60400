"""Measures recommenders on public data sets: `python -m services.trainer.benchmarks --help`."""
