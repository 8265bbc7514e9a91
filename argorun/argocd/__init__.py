"""Argo CD's REST API: the client, the operation, its logs and an Application's parameters."""
