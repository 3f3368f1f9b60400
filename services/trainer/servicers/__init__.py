"""Further services of the trainer process, one file a contract."""
