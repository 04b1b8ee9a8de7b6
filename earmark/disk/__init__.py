"""Files, hashes, receipts and shard lists: how what is on disk is named, written, watched and trusted."""
