"""Rendered and live manifests: their hooks, changes, references and ignored differences."""
