"""The catalog: its tables, what they must say of one another, and the folders that they name."""
