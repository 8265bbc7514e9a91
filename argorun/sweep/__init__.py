"""The sweep: finds, restores and deletes what killed runs left."""
