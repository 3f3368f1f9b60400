"""TLS between processes, with certificates that are exchanged while they run."""
