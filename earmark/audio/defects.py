"""What may be wrong with a recording although it stays: a defect is a kind of this table, and what was found.

A defect is written `<kind>: <what was found>`, or as the kind alone. It stands in a recording's row of canonical audio
and in its manifest row, beside the defects that a corpus's publisher names.
"""

LONGER = "longer than its header"  # sound that the header does not state was decoded, or could not be
SHORTER = "shorter than its header"  # by no more than `max_short` of the dataset
SEGMENT_BEYOND = "segment beyond the end"  # of a segment, in its own `defects`
WORDS_BEYOND, PHONEMES_BEYOND = "words beyond the end", "phonemes beyond the end"
SHORTER_THAN_LABELS, LONGER_THAN_LABELS = "shorter than its labels say", "longer than its labels say"

KINDS = {
    LONGER: "there is more sound in the file than its header states",
    SHORTER: "the sound ends before the header says, by no more than the dataset's max_short",
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
