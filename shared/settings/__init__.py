"""Settings: how a process learns its configuration from the environment."""
