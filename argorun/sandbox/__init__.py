"""The servers for `argorun demo` and the tests: real Kafka and an Argo CD stand-in."""
