"""HTTP to Argo CD: connection, retries, streams, TLS, and errors."""
