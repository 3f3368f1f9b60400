"""What protects people's data in every service: sealed columns, keyed hashes of ids, signed receipts."""
