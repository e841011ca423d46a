"""Names of emotions: the one word for those that people write in several ways."""

# The eight emotions of FER+, each with the names that other sets give it.
_NAMES = {
    "angry": ("anger",),
    "contempt": ("contemptuous",),
    "disgust": ("disgusted",),
    "fear": ("fearful", "afraid"),
    "happy": ("happiness",),
    "neutral": (),
    "sad": ("sadness",),
    "surprise": ("surprised",),
}
EMOTIONS = tuple(_NAMES)
_EMOTION_OF = {name: emotion for emotion, names in _NAMES.items() for name in names}


def emotion_of(name: str) -> str:
    """Returns the usual name of an emotion, 'angry' for 'anger'; any other name as it is.

    Args:
        name: The name, in lower case.
    """
    return _EMOTION_OF.get(name, name)
