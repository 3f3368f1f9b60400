"""Orders candidates for one person and says why."""
