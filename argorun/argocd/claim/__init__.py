"""A run's claim on an Application: acquire, check, restore, release; and a dead run's leftovers."""
