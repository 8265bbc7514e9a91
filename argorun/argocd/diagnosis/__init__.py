"""Finds out why a resource failed or does not start."""
