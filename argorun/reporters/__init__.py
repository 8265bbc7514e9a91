"""Reporters: show a run, or write it down, from its events."""
