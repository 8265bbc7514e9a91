"""The undos of a run: a stack of them, and one module for each thing that a run changes."""
