"""What the lines of several tables say of one sound, joined: one recording for each file, or for each channel of it.

Manifests name a sound once for each piece that has labels, in one table or in several: two data directories share a
meeting, two recordings are the sides of a call. The sound is listed once, all pieces stay, and what cannot be true
of one sound is a finding:

    pieces with a channel       one side of the file is a recording of its own, unless the file has that one alone
    several splits              no split, since two splits must not share sound
    other labels for the whole  nothing of that file: they may be sides of a call, and no table says which
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import cast

from earmark.corpora import CONTRADICTION, DUPLICATE, REPEATED_ID, Finding, Recording
from earmark.corpora._channels import channels_in
from earmark.corpora._labels import present
from earmark.disk.inside import channel_of
from earmark.rows import Label, Labels

SIDE = re.compile(r"(.*?)[-_.]?(?:[ABLR]|left|right|(?<=[-_.])(?:ch|channel)?[0-2])", re.IGNORECASE)
A_OR_B = re.compile(r".+[-_.][AB]")
OF_A_PIECE = ("speaker_id", "text")  # given in each segment even if all of them share it
ALIGNED = {"words", "phonemes"}  # with times in the recording
# What a segment has by the manifest's schema; of other labels those that differ between segments are its `extra`.
IN_A_SEGMENT = {*OF_A_PIECE, "gender", "gender_published", "language", "language_name", "emotion", "emotion_published"}
ROUNDING_S = 0.1  # a time that is negative by no more begins with the recording


@dataclass(frozen=True, slots=True)
class Piece:
    """One label line: `name` is its own, `recording` that of the sound as the table calls it, `where` is file:line.

    `span` is its start and end in seconds, None for the whole; `stated_s` is how long the whole is by its labels;
    `channel` counts from 0, None where nothing says it, and `side` is its published name.
    """

    name: str
    recording: str
    where: str
    split: str | None
    labels: Labels
    span: tuple[float, float] | None = None
    channel: int | None = None
    side: str = ""
    stated_s: float | None = None


def span_of(start: float, end: float) -> tuple[float, float] | None:
    """Return a start and an end in seconds as a segment may have them; None where no sound can lie between them."""
    if -ROUNDING_S <= start < 0:
        start = 0.0
    return (start, end) if 0 <= start <= end < float("inf") else None


def piece_name(recording: str, span: tuple[float, float], labels: Labels) -> str:
    """Return a name for a piece that has none of its own: two lines that say the same thing have the same one."""
    return f"{recording} {span[0]:.3f}-{span[1]:.3f} {labels.get('speaker_id', '')}".rstrip()


@dataclass
class Pieces:
    """Label lines by the path of their sound. All are kept in memory.

    `remedy` says what a user can do about two recordings of one sound. With `named_by_side` a recording that is called
    x-A or x-B is one side of its file, as Kaldi's recipes call it.
    """

    root: Path
    remedy: str
    named_by_side: bool = False
    by_path: dict[str, list[Piece]] = field(default_factory=dict)

    def add(self, path: str, piece: Piece) -> None:
        """Keep one line of labels for a sound."""
        self.by_path.setdefault(path, []).append(piece)

    def items(self) -> Iterator[Recording | Finding]:
        """Yield a recording for each sound, in the order in which they were first named, and what does not fit."""
        for path, pieces in self.by_path.items():
            yield from self._channels(path, pieces)

    def _channels(self, path: str, pieces: Sequence[Piece]) -> Iterator[Recording | Finding]:
        """Yield the recordings of a file: itself, or its channels."""
        channels = {piece.channel for piece in pieces} - {None}
        count = channels_in(self.root / path) if channels else 0
        if not channels or (count == 1 and len(channels) == 1):  # a call that was split into files keeps its A and B
            yield from self._recordings(path, {path: pieces})
            return
        if count == 1:
            names = _listed(piece.recording for piece in pieces)
            yield Finding(CONTRADICTION, path, f"{names}: different channels, and {path} has one")
            return
        groups: dict[str, list[Piece]] = {}
        for piece in pieces:
            if piece.channel is not None:
                groups.setdefault(channel_of(path, piece.channel), []).append(piece)
        for piece in pieces:
            if piece.channel is None:
                detail = f"{piece.name}: {path} has several channels, and no table says which of them it is"
                yield Finding(CONTRADICTION, piece.where, detail)
        yield from self._recordings(path, groups)

    def _recordings(self, path: str, groups: Mapping[str, Sequence[Piece]]) -> Iterator[Recording | Finding]:
        for place, pieces in groups.items():
            name = pieces[0].recording
            if any(piece.recording == name for other in groups if other != place for piece in groups[other]):
                name = f"{name}/{pieces[0].channel}"  # one recording of the table, several channels
            yield from self._recording(name, path, place, pieces)

    def _recording(self, name: str, path: str, place: str, pieces: Sequence[Piece]) -> Iterator[Recording | Finding]:
        """Yield one recording with all that its pieces say, or the finding that they cannot be of one sound."""
        if _of_several_sounds(pieces) or (place == path and self._is_of_one_side(path, pieces)):
            names = _listed(piece.recording for piece in pieces)
            yield Finding(CONTRADICTION, pieces[0].where, f"{names}: other labels for one sound, {path}: {self.remedy}")
            return
        whole: Labels = {}
        wholes = [piece for piece in pieces if piece.span is None]
        for piece in wholes:
            if finding := _against(whole, piece, wholes[0], path):
                yield finding
            if finding is None or finding.kind == DUPLICATE:
                whole |= {key: value for key, value in piece.labels.items() if key not in whole}
        parts: dict[str, Piece] = {}
        for piece in pieces:
            if piece.span is not None:
                yield from _repeated(parts.get(piece.name), piece)
                parts.setdefault(piece.name, piece)
        splits = {piece.split: piece.where for piece in reversed(pieces) if piece.split}
        if len(splits) > 1:
            words = " and ".join(f"{split} ({where})" for split, where in sorted(splits.items()))
            yield Finding(CONTRADICTION, pieces[0].where, f"{name}: in {words}, so in no split")
        split = next(iter(splits)) if len(splits) == 1 else None
        labels = segments_labels(list(parts.values())) | whole if parts else whole
        side = next((piece.side for piece in pieces if piece.side), "")
        stated_s = next((piece.stated_s for piece in wholes if piece.stated_s is not None), None)
        yield Recording(name, place, split, labels | present({"channel": side, "duration_published": stated_s}))

    def _is_of_one_side(self, path: str, pieces: Sequence[Piece]) -> bool:
        """Say whether a file has several channels, and what is said of it is said of one of them by all that is known.

        Two texts for the whole are those of two sides, and so is the text of a recording that is called as a side.
        """
        texts = {str(piece.labels["text"]) for piece in pieces if piece.span is None and "text" in piece.labels}
        called = self.named_by_side and any(A_OR_B.fullmatch(piece.recording) and piece.labels for piece in pieces)
        return (len(texts) > 1 or called) and channels_in(self.root / path) > 1


def segments_labels(pieces: Sequence[Piece]) -> Labels:
    """Return `segments`, sorted, and the labels that all segments of a recording share, but for text."""
    ordered = sorted(pieces, key=lambda piece: (piece.span, str(piece.labels.get("speaker_id", piece.name))))
    first = ordered[0].labels
    shared: Labels = {
        key: value
        for key, value in first.items()
        if key != "text" and all(piece.labels.get(key) == value for piece in ordered)
    }
    segments: list[Label] = []
    aligned: dict[str, list[dict[str, Label]]] = {}
    for piece in ordered:
        start, end = piece.span or (0.0, 0.0)
        own = {key: value for key, value in piece.labels.items() if key in OF_A_PIECE or key not in shared}
        for key in ALIGNED & own.keys():  # of the recording, since their times are
            aligned.setdefault(key, []).extend(cast("list[dict[str, Label]]", own.pop(key)))
        segments.append({"start": start, "end": end, **_as_segment(own)})
    in_order = {key: sorted(spans, key=lambda span: (span["start"], span["end"])) for key, spans in aligned.items()}
    return {**shared, "segments": segments, **dict(sorted(in_order.items()))}


def _as_segment(labels: Labels) -> Labels:
    """Return the labels of a segment, those that its schema does not name in `extra`."""
    named = {key: value for key, value in labels.items() if key in IN_A_SEGMENT}
    others = {key: value for key, value in labels.items() if key not in {*IN_A_SEGMENT, "extra"}}
    extra = {**others, **cast("Mapping[str, Label]", labels.get("extra", {}))}
    return named | ({"extra": extra} if extra else {})


def _listed(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def _against(whole: Labels, piece: Piece, first: Piece, path: str) -> Finding | None:
    """Return the finding for a second line about a whole sound: a copy, or what it says otherwise."""
    if first is piece:
        return None
    name = piece.recording
    if other := next((key for key, value in piece.labels.items() if whole.get(key, value) != value), ""):
        return Finding(CONTRADICTION, piece.where, f"{name}: another {other} at {first.where}, which counts")
    return Finding(DUPLICATE, piece.where, f"{name}: {path} is the recording {first.recording} already")


def _repeated(known: Piece | None, piece: Piece) -> Iterator[Finding]:
    """Yield the finding for a piece whose name came before."""
    if known is None:
        return
    if (known.span, known.labels) == (piece.span, piece.labels):
        yield Finding(DUPLICATE, piece.where, f"{piece.name}: the same at {known.where}")
    else:
        yield Finding(REPEATED_ID, piece.where, f"{piece.name}: labelled before at {known.where}, which counts")


def _of_several_sounds(pieces: Sequence[Piece]) -> bool:
    """Say whether lines under several names for one sound cannot all be true of it."""
    names = list(dict.fromkeys(piece.recording for piece in pieces))
    if len(names) == 1:
        return False
    sides = [match[1] for name in names if (match := SIDE.fullmatch(name))]
    if len(set(sides)) < len(sides) and any(piece.labels for piece in pieces):
        return True
    said: Labels = {}
    for piece in pieces:
        if piece.span is None:
            if any(said.get(key, value) != value for key, value in piece.labels.items()):
                return True
            said |= piece.labels
    spans = sorted((piece.span, piece.recording) for piece in pieces if piece.span is not None)
    return any(one != other and next_[0] < span[1] for (span, one), (next_, other) in pairwise(spans))
