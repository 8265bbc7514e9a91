"""argorun gives each test run behind Argo CD its own Kafka topic."""

__version__ = "0.1.0"
HOMEPAGE = "https://github.com/argorun/argorun"
