"""One sync operation: start, follow and end it, and verify its hooks."""
