"""Emotions in one set of words, from the words and codes that publishers use.

Ekman's six and "neutral", as adjectives, with "calm", which RAVDESS has besides; the manifest's schema lists them.
"""

EMOTIONS = {  # as published -> as here
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
    """Return the labels of a word in any letter case; of an unknown word only `emotion_published`."""
    word = EMOTIONS.get(published.strip().lower())
    labels = {"emotion": word} if word else {}
    return labels if word == published else labels | {"emotion_published": published}
