"""doit audit: what is on the disk."""
