"""Reporters show a run or write it down: they take events, and never change a verdict."""
