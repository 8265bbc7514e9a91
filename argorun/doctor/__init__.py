"""The doctor: every check that can be made, as a checklist."""
