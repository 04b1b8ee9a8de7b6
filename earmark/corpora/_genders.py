"""Genders in one set of words, from the words and codes that publishers use: female, male, other.

F and M, in any letter case, are those words in short. What says something else than the word here, such as
"female_feminine" or "transgender", is kept beside it; a word that names no gender is kept alone. `corpora.read` does
this for every reader.
"""

from earmark.rows import Labels

GENDERS = {  # as published, in lower case -> as here
    "f": "female",
    "female": "female",
    "woman": "female",
    "girl": "female",
    "fem": "female",
    "feminine": "female",
    "female_feminine": "female",
    "m": "male",
    "male": "male",
    "man": "male",
    "boy": "male",
    "masc": "male",
    "masculine": "male",
    "male_masculine": "male",
    "o": "other",
    "other": "other",
    "intersex": "other",
    "transgender": "other",
    "trans": "other",
    "non-binary": "other",
    "nonbinary": "other",
    "non_binary": "other",
    "diverse": "other",
}
WORDS = frozenset(GENDERS.values())
SAME = WORDS | {"f", "m"}  # say no more than the word here


def with_gender(labels: Labels) -> Labels:
    """Return labels with `gender` in this vocabulary, in segments too, and `gender_published` where that differs."""
    segments = labels.get("segments")
    if isinstance(segments, list) and any(isinstance(part, dict) and "gender" in part for part in segments):
        labels = {**labels, "segments": [with_gender(part) if isinstance(part, dict) else part for part in segments]}
    published = labels.get("gender")
    if not isinstance(published, str) or published in WORDS:  # most: no copy of the labels
        return labels
    word = GENDERS.get(published.strip().lower())
    own: Labels = {"gender": word} if word else {}
    if published.strip().lower() not in SAME:
        own["gender_published"] = published
    # a column gender_published is the publisher's own word: it must not give way to the one derived here
    parts = (own if name == "gender" else {name: value} for name, value in labels.items())
    return {name: value for part in parts for name, value in part.items()}
