"""How much a server takes on: a limit that adapts, places by priority, and the class of each method."""
