"""doit audit: what lies on the disk."""
