"""Features: encoding recordings into packs, the pack format, and the index over packs."""
