"""Emotions by one set of words, from the words that publishers use."""

EMOTIONS = {
    "neutral": "neutral",
    "calm": "calm",
    "happy": "happy",
    "joy": "happy",
    "sad": "sad",
    "sadness": "sad",
    "angry": "angry",
    "anger": "angry",
    "fear": "fearful",
    "fearful": "fearful",
    "disgust": "disgusted",
    "surprise": "surprised",
    "surprised": "surprised",
    "happiness": "happy",
    "disgusted": "disgusted",
    "ang": "angry",
    "cal": "calm",
    "dis": "disgusted",
    "fea": "fearful",
    "hap": "happy",
    "neu": "neutral",
    "sur": "surprised",
}


def emotion(published: str) -> dict[str, str]:
    """Return the labels `emotion` and, where it differs, `emotion_published`. Raises KeyError for an unknown word."""
    word = EMOTIONS[published]
    return {"emotion": word} if word == published else {"emotion": word, "emotion_published": published}


def emotion_of_word(published: str) -> dict[str, str]:
    """Return the labels of a word in any case, as home-made collections have it; an unknown one is published alone."""
    word = EMOTIONS.get(published.strip().lower())
    labels = {"emotion": word} if word else {}
    return labels if word == published else labels | {"emotion_published": published}
