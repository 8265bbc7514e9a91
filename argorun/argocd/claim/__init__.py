"""A run's claim on an Application: acquire, check, restore, and what a dead run left."""
