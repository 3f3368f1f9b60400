"""Experiments on the command line: how they are written down and how reports are shown."""
