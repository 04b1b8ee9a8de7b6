"""RTTM: who speaks when, a line a turn, fields with blanks between.

    SPEAKER <recording> <channel> <onset> <duration> <NA> <NA> <speaker> <NA> [<NA>]     seconds

A file may hold one recording or many; lines need not be in order, and turns may overlap.
Source: NIST, Rich Transcription evaluation, RTTM format.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from earmark.corpora._labels import bad_line, lines

FORM = "SPEAKER recording channel onset duration <NA> <NA> speaker <NA> <NA>"
FIELDS = (9, 10)
DECIMALS = 6  # of a second, as many as any publisher writes: an onset and a duration add up without binary noise

Segment = dict[str, Any]  # {"start", "end", "speaker_id"}, in seconds


def turns(path: Path) -> Iterator[tuple[int, str, Segment]]:
    """Yield (line number, recording, segment) in the order of the file; the speaker is as it was published.

    Raises CorpusError for a line of another form, a negative onset or a negative duration.
    """
    for number, line in lines(path):
        fields = line.split()
        try:
            start_s = float(fields[3])
            end_s = round(start_s + float(fields[4]), DECIMALS)
        except (IndexError, ValueError):
            raise bad_line(path, number, FORM, line) from None
        if len(fields) not in FIELDS or fields[0] != "SPEAKER" or not 0 <= start_s <= end_s < float("inf"):
            raise bad_line(path, number, FORM, line)
        yield number, fields[1], {"start": start_s, "end": end_s, "speaker_id": fields[7]}


def in_order(segments: Iterable[Segment]) -> list[Segment]:
    """Return segments sorted by start, end and speaker."""
    return sorted(segments, key=lambda segment: (segment["start"], segment["end"], segment["speaker_id"]))
