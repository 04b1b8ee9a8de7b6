"""What may be wrong with a recording although it stays: a defect is a kind of this table, and what was found.

A defect is written `<kind>: <what was found>`, or as the kind alone. It stands in a recording's row of canonical audio
and in its manifest row, beside the defects that a corpus's publisher names.
"""

from collections.abc import Collection

LONGER = "longer than its header"  # sound that the header does not state was decoded, or could not be
SHORTER = "shorter than its header"  # by no more than `max_short` of the dataset
JUNK = "bytes that are no sound"  # between frames: damage, or something else laid into the stream
LATE = "begins late"  # the sound begins after its file does: by how much
GAP = "gap"  # the container's time stamps leave one: how long, and where
BACK = "steps back in time"  # the container's time stamps do: by how much, and where
OPPOSITE = "opposite phase"  # the channels cancel each other out: see `earmark.audio.downmix`
SILENCE = "digital silence"  # every sample is 0
BEYOND = "far beyond full scale"  # samples in floating point: by how much
CLIPPED = "clipped"  # which share of the samples

# A magnitude, full scale being 1. Decoders of lossy formats overshoot by half, microphones' converters by nothing:
# four times as much is a file in another scale, such as whole numbers written as floats.
FAR_BEYOND = 4.0
# Of the samples at either end of int16. Shouted speech has some hundredths; at a fifth no word is whole.
MOST_CLIPPED = 0.2
SEGMENT_BEYOND = "segment beyond the end"  # of a segment, in its own `defects`
WORDS_BEYOND, PHONEMES_BEYOND = "words beyond the end", "phonemes beyond the end"
SHORTER_THAN_LABELS, LONGER_THAN_LABELS = "shorter than its labels say", "longer than its labels say"

KINDS = {
    LONGER: "there is more sound in the file than its header states",
    SHORTER: "the sound ends before the header says, by no more than the dataset's max_short",
    JUNK: "something that is no sound stands between the frames of an MP3: what was there is lost",
    LATE: "the sound begins later than its file or its picture; `media_time` puts silence there",
    GAP: "time stamps leave a gap between frames that follow each other; `media_time` puts silence there",
    BACK: "time stamps step back: some of the sound overlaps what was before it",
    OPPOSITE: "the channels cancel each other out, so their mean is silence: `channel = 0` takes one of them",
    SILENCE: "every sample is 0",
    BEYOND: "samples in floating point lie so far beyond full scale that they are in another scale, and clipped",
    CLIPPED: "so many samples are at full scale that the sound is distorted throughout",
    SEGMENT_BEYOND: "a segment ends after its recording, by more than rounding",
    WORDS_BEYOND: "aligned words end after their recording, by more than rounding",
    PHONEMES_BEYOND: "aligned phonemes end after their recording, by more than rounding",
    SHORTER_THAN_LABELS: "the text may be for more than what is heard",
    LONGER_THAN_LABELS: "the text may be for a part of what is heard",
}


def defect(kind: str, found: str = "") -> str:
    """Return a defect as rows carry it. Raises KeyError for a kind that is not in the table."""
    if kind not in KINDS:
        raise KeyError(kind)
    return f"{kind}: {found}" if found else kind


def kind_of(text: str) -> str:
    """Return the kind of a defect as rows carry it; of one that a publisher names, all of it."""
    kind = text.partition(": ")[0]
    return kind if kind in KINDS else text


def of_levels(peak: float, clipped: float, known: Collection[str]) -> tuple[str, ...]:
    """Return what a recording's levels show beyond the defects that are known already."""
    kinds = {kind_of(told) for told in known}
    found = []
    if peak == 0 and not {SILENCE, OPPOSITE} & kinds:  # where channels cancel out, that says more
        found.append(defect(SILENCE))
    if clipped > MOST_CLIPPED and not {CLIPPED, BEYOND} & kinds:
        found.append(defect(CLIPPED, f"{clipped:.0%} of the samples"))
    return tuple(found)
