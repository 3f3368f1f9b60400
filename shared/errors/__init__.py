"""Errors: the domain's exceptions and their one mapping to gRPC."""
