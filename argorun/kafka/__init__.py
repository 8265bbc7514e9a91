"""Kafka: a run's topics, from their names to their deletion, also after killed runs."""
