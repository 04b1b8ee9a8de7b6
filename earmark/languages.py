"""Languages: whether a tag is one of BCP 47, with subtags that are registered."""

import re

# The first letters of ISO 639-1's codes with the second ones. langcodes takes 80 ms to import: only other tags need it.
TWO_LETTERS = (
    "a:abefkmnrsvyz b:aegimnors c:aehorsuvy d:aevz e:elnostu f:afijory g:adlnuv h:aeiortuyz i:adegikostu j:av "
    "k:agijklmnorsuvwy l:abginotuv m:ghiklnrsty n:abdeglnorvy o:cjmrs p:ailst q:u r:mnouw s:acdegiklmnoqrstuvw "
    "t:aeghiklnorstwy u:gkrz v:eio w:ao x:h y:io z:ahu"
)
PLAIN = frozenset(
    first + second for first, _, more in (one.partition(":") for one in TWO_LETTERS.split()) for second in more
)
USUAL = PLAIN | {"en-US"}  # what the shipped catalog names besides
FORM = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")  # without extensions and private use, which no corpus has


def is_language(tag: str) -> bool:
    """Say whether a tag is of BCP 47 and its language, script and region are registered: "en", "zh-Hant-TW"."""
    if tag in USUAL:
        return True
    if not FORM.fullmatch(tag):
        return False
    import langcodes

    return langcodes.tag_is_valid(tag)
