"""The checks before a run, one by one: of the Application, Argo CD and Kafka."""
