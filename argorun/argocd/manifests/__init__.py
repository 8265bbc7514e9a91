"""Rendered and live objects: identity, content, hooks, sync options, references, ignored differences."""
