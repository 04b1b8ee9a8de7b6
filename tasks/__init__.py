"""The stages as verbs, one file each, and how doit sees them; the only place besides dodo.py that imports doit."""
