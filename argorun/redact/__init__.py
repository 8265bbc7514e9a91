"""Redaction: what is secret, how it is masked, and text made safe to show."""
