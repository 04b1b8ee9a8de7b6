"""doit plan: what would run, what it would write, and whether it fits."""
