"""Kafka topics of a run: their names, and their life on the broker."""
