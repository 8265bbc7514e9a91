"""The hooks of a sync: what may go wrong with them, whose they are, which topic they read."""
