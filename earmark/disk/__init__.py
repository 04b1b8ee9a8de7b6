"""Files, hashes, receipts and shard lists: how they are named, written, watched for edits, and trusted."""
