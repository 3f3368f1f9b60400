"""Envoy in front of the gateway: JSON over HTTP and gRPC-Web become gRPC."""
