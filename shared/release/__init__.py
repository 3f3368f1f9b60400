"""Releases, for every service that reads them."""
