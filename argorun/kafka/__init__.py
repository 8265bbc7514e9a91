"""Kafka: the names and life of a run's topics, and what killed runs left."""
