"""A run's claim on an Application: acquire, check, restore, release; and what a dead run left."""
