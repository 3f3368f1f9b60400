"""What two or more services use: server bootstrap, interceptors, errors, settings, PostgreSQL, telemetry."""
