"""Restores what a run's operation changed to its state in Git."""
