"""The command ``mercato``: a client of the public gateway contract and of the supervisor."""
