"""What an earlier version found of a recording, and whether it would be found today: by headers, not by decoding."""

from pathlib import Path

from earmark.audio.table import GoodAudio
from earmark.errors import BadAudioError
from earmark.rates import RATE_HZ

_NEXT_TO_NOTHING = 1e-3  # RMS, full scale being 1: the level of silence


def is_still_true(source: Path, row: GoodAudio) -> bool:
    """Say whether the row of a recording that version 1 decoded is what decoding it again would give.

    Version 1 read as far as a decoder did by itself, passed over what the header did not state, and did not have
    FFmpeg compare checksums: where none of that can have mattered, nothing is decoded again.
    """
    from earmark.audio.decoding import CHECKED_CODECS, inspect_file

    library, _, codec = row.decoder.partition("/")
    if library == "pyav" and codec in CHECKED_CODECS:
        return False
    if row.source_channels > 1 and row.policy.channel == "mean" and row.rms < _NEXT_TO_NOTHING:
        return False  # the channels may have cancelled each other out, which was not looked at
    try:
        container = inspect_file(source, row.policy.max_short_s)
    except BadAudioError:
        return False
    if not container.as_it_is or container.defects or len(container.links) > 1:
        return False
    link = container.links[0]
    wanted = (link.n_samples - link.slack) * RATE_HZ / row.source_rate_hz
    return row.n_samples + 1 >= wanted
