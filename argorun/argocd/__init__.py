"""Argo CD: client, parameters, claim, sync, hooks, logs, diagnosis, settling."""
