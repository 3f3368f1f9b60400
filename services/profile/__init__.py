"""The profile service: user events and what is derived from them."""
