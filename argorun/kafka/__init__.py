"""Topics of a test run on a Kafka broker: their names, their life, and what a killed run left."""
