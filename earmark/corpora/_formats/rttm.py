"""RTTM: who speaks when, a turn on each line, fields with blanks between.

    SPEAKER <recording> <channel> <onset> <duration> <NA> <NA> <speaker> <NA> [<NA>]     seconds

A file may contain one recording or many; lines need not be in order, and turns may overlap.
Source: NIST, "The 2009 (RT-09) Rich Transcription Meeting Recognition Evaluation Plan", appendix A. Some publishers
leave out the tenth field, the signal lookahead time.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from earmark.corpora._formats.lines import bad_line, lines
from earmark.rows import Labels

FORM = "SPEAKER recording channel onset duration <NA> <NA> speaker <NA> <NA>"
FIELDS = (9, 10)
DECIMALS = 6  # of a second, as many as any publisher writes: an onset and a duration add up without binary noise


class Turn(NamedTuple):
    """One speaker's turn, `start` and `end` in seconds; turns sort by start, end and speaker."""

    start: float
    end: float
    speaker_id: str

    @property
    def times(self) -> Labels:
        """Return {"start", "end"}, with which each segment of a manifest row begins."""
        return {"start": self.start, "end": self.end}


def turns(path: Path) -> Iterator[tuple[int, str, Turn]]:
    """Yield (line number, recording, turn) in the order of the file; the speaker is as it was published.

    Raises CorpusError for a line of another form, a negative onset or a negative duration.
    """
    for number, line in lines(path, strict=True):
        fields = line.split()
        try:
            start_s = float(fields[3])
            end_s = round(start_s + float(fields[4]), DECIMALS)
        except (IndexError, ValueError):
            raise bad_line(path, number, FORM, line) from None
        if len(fields) not in FIELDS or fields[0] != "SPEAKER" or not 0 <= start_s <= end_s < float("inf"):
            raise bad_line(path, number, FORM, line)
        yield number, fields[1], Turn(start_s, end_s, fields[7])


def in_order(segments: Iterable[tuple[Turn, Labels]]) -> list[Labels]:
    """Return the labels of the turns' segments, sorted by start, end and speaker."""
    return [labels for _, labels in sorted(segments, key=lambda segment: segment[0])]
