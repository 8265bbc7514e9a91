"""Checks of hooks, and of what they read, around a sync."""
