"""Rules of events and profiles; no I/O."""
