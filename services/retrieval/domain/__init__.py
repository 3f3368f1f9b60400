"""Rules of retrieval. No input or output."""
