"""Takes what a run's operation changed back to how Git has it."""
