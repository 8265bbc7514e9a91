"""The hooks of a sync: problems, ownership, and whether they get the topic's name."""
