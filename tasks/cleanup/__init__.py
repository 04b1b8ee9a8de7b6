"""doit cleanup: deleting archives that are proved to be extracted."""
