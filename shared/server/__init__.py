"""The server that every service runs: bootstrap, health, interceptors."""
