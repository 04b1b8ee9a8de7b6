"""How many bytes feature packs take, by arithmetic: the pack format is exact."""

import math

from earmark.amounts import Amount
from earmark.features.packs import HASH_BYTES, ITEM_BYTES, SHARD_BYTES

PACK_METADATA_BYTES = 6_300  # zarr's JSON and the seal of a pack with one shard file
PACK_SHARD_BYTES = 90  # entry of each further shard file in the seal
CHUNK_INDEX_BYTES, SHARD_INDEX_BYTES = 16, 4  # zarr's index at the end of a shard file: an entry a chunk, a CRC
INDEX_ROW_BYTES = 45  # of one audio hash in the index over packs


def pack_bytes(
    frames: Amount, recordings: float, n_state: int, codec: str, *, chunk_frames: int, packs: int = 1
) -> Amount:
    """Return the bytes of all files of feature packs that have some frames between them.

    Frames are in chunks of 30 s, of which the last of each pack is filled up: half of one on the average where the
    frames are not known exactly.
    """
    chunk_bytes = chunk_frames * n_state * ITEM_BYTES[codec]
    in_shard = max(1, SHARD_BYTES // chunk_bytes)
    # of one pack the last chunk is known; of several nobody knows yet which recordings go into which
    known = packs == 1 and frames.low == frames.high
    sizes = []
    for value, filled in ((frames.low, 0.0), (frames.likely, 0.5), (frames.high, 1.0)):
        chunks = math.ceil(value / chunk_frames) if known else value / chunk_frames + filled * packs
        files = max(packs, math.ceil(chunks / in_shard))
        index = chunks * CHUNK_INDEX_BYTES + files * SHARD_INDEX_BYTES + (files - packs) * PACK_SHARD_BYTES
        fixed = packs * (PACK_METADATA_BYTES + 8) + recordings * (HASH_BYTES + 8)
        sizes.append(chunks * chunk_bytes + index + fixed)
    return Amount(*sizes)
