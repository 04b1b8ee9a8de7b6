"""gc: what nothing names any more, counted and deleted."""
