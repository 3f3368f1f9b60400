"""Contract messages to domain values and back; messages stop here."""
