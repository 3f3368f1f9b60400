"""Who may call what: scopes, the authorisation table, API keys, tokens, and the log of administrative acts."""
