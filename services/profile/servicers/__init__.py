"""Further services of the profile process, one file a contract."""
