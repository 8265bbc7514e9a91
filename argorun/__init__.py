"""One test run, one Kafka topic: argorun runs tests behind Argo CD, each on a topic of its own."""

__version__ = "0.1.0"
