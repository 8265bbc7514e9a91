"""Settling: restores the objects that a run's operation changed."""
