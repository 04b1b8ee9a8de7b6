"""Archives: reading every format, staging members, merging with a tree, proving a tree against an archive."""
