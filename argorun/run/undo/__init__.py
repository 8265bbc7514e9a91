"""The undos of a run: their stack, and one module for each thing changed."""
