"""Starts, watches and stops the processes of the suite on one machine."""
