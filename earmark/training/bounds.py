"""Labels held against the length of their sound: what reaches beyond its end is a defect, and never cut in silence.

A segment has its own `defects`, since the others of its recording are good; words, phonemes and the published length
are the recording's. Times are rounded to 0.01 to 0.1 s in what corpora publish, a codec's delay and padding move an end
by up to 0.1 s, and a file that is shorter than its header by as much is taken: so that much is no defect. Of a segment
half has to be there besides, or its text would stand on next to nothing.
"""

from collections.abc import Mapping, Sequence
from typing import TypedDict, cast

from earmark.audio.defects import (
    LONGER_THAN_LABELS,
    PHONEMES_BEYOND,
    SEGMENT_BEYOND,
    SHORTER_THAN_LABELS,
    WORDS_BEYOND,
    defect,
    kind_of,
)
from earmark.rows import Label, Labels

ROUNDING_S = 0.1
LENGTH_SHARE = 0.01  # of a published length: lengths of compressed files are often estimated
SPANS = {"words": WORDS_BEYOND, "phonemes": PHONEMES_BEYOND}  # label -> kind of the defect
OF_THE_WHOLE = frozenset({SHORTER_THAN_LABELS, LONGER_THAN_LABELS, *SPANS.values()})
STATED = "duration_published"
BOUNDED = frozenset({STATED, "segments", *SPANS})


class Span(TypedDict):
    """What segments, words and phonemes have in common, in seconds."""

    start: float
    end: float


def is_beyond(span: Span, duration_s: float) -> bool:
    """Say whether a segment reaches beyond the end of its sound by more than rounding."""
    over = _over(span, duration_s)
    return over > ROUNDING_S or (over > 0 and over > (span["end"] - span["start"]) / 2)


def _over(span: Span, duration_s: float) -> float:
    """Return the seconds between the end of a sound and that of a span, without the last bits of a float."""
    return round(span["end"] - duration_s, 6)


def beyond(span: Span, duration_s: float) -> str:
    """Return the defect of a segment that is beyond the end."""
    return defect(SEGMENT_BEYOND, f"{span['end']:.3f} s of {duration_s:.3f} s")


def is_segment_beyond(text: str) -> bool:
    """Say whether a defect is that of a segment beyond the end."""
    return kind_of(text) == SEGMENT_BEYOND


def with_defects(labels: Labels, duration_s: float) -> Labels:
    """Return labels with the defects that the length of the sound shows; the same ones where there are none."""
    if BOUNDED.isdisjoint(labels):  # most rows
        return labels
    defects = [_words_defect(kind, labels.get(name), duration_s) for name, kind in SPANS.items() if name in labels]
    stated_s = labels.get(STATED)
    if isinstance(stated_s, int | float):
        defects.append(_length_defect(stated_s, duration_s))
        if not defects[-1]:
            labels = {name: value for name, value in labels.items() if name != STATED}
    segments = _spans(labels.get("segments"))
    if any(is_beyond(span, duration_s) for span in segments):
        labels = {**labels, "segments": [_marked(span, duration_s) for span in segments]}
    if found := [text for text in defects if text]:
        known = cast("Sequence[str]", labels.get("defects", ()))
        labels = {**labels, "defects": [*known, *found]}
    return labels


def defects_found(row: Mapping[str, object]) -> list[str]:
    """Return the kinds of the defects in a row that `with_defects` gave, one for each segment or recording."""
    if "segments" not in row and "defects" not in row:
        return []
    segments = cast("Sequence[Mapping[str, Sequence[str]]]", row.get("segments", ()))
    kinds = [SEGMENT_BEYOND for segment in segments if any(map(is_segment_beyond, segment.get("defects", ())))]
    whole = map(kind_of, cast("Sequence[str]", row.get("defects", ())))
    return kinds + [kind for kind in whole if kind in OF_THE_WHOLE]


def _spans(label: Label | None) -> list[Span]:
    return cast("list[Span]", label or [])


def _marked(span: Span, duration_s: float) -> Label:
    if not is_beyond(span, duration_s):
        return cast("Label", span)
    known = cast("Sequence[str]", span.get("defects", ()))
    return cast("Label", {**span, "defects": [*known, beyond(span, duration_s)]})


def _words_defect(kind: str, label: Label | None, duration_s: float) -> str:
    spans = _spans(label)
    late = [span["end"] for span in spans if _over(span, duration_s) > ROUNDING_S]
    if not late:
        return ""
    return defect(kind, f"{len(late):,} of {len(spans):,}, up to {max(late):.3f} s of {duration_s:.3f} s")


def _length_defect(stated_s: float, duration_s: float) -> str:
    if abs(stated_s - duration_s) <= max(ROUNDING_S, LENGTH_SHARE * stated_s):
        return ""
    kind = SHORTER_THAN_LABELS if duration_s < stated_s else LONGER_THAN_LABELS
    return defect(kind, f"{duration_s:.3f} s, not {stated_s:.3f} s")
