"""Kafka: the names and the life cycle of a run's topics, and cleaning up after killed runs."""
