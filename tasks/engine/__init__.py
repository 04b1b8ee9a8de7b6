"""The engine: units of work, what makes one current, and how it is built."""
