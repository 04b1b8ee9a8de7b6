"""The demonstration corpus and model, made on the spot."""
