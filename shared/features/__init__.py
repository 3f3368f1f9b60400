"""Features of candidates: the same code where they are served and where models learn from them."""
