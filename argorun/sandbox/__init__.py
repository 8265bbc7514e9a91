"""What `argorun demo` and the tests run against: real Kafka from pip, and an Argo CD stand-in."""
