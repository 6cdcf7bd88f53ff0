"""Items of a catalogue by what may be said for their titles."""

import re
from dataclasses import dataclass

from privet.models.catalogue import Catalogue
from privet.models.words import fold, stem, words

_YEAR = re.compile(r"\(\d{4}\)\s*$")
_ARTICLE, _LATE_ARTICLE = re.compile(r"^(?:the|an?) "), re.compile(r", (?:the|an?)$")


@dataclass(frozen=True, kw_only=True)
class Likened:
    """An item that a query names.

    Attributes:
        item: Position in the catalogue.
        title: Its title there.
    """

    item: int
    title: str


def title_keys(catalogue: Catalogue) -> dict[str, int]:
    """Items by what may be said for their titles; of equal titles the first in the catalogue.

    A year in brackets, an article at the start and one after a comma at the end ("Matrix, The") may
    be left out.
    """
    found: dict[str, int] = {}
    for item, title in enumerate(catalogue.titles):
        key = title_key(title)
        if key:
            found.setdefault(key, item)
    return found


def title_key(title: str) -> str:
    """A title without what writing it differently changes."""
    bare = _YEAR.sub("", fold(title)).strip()
    return phrase_key(_ARTICLE.sub("", _LATE_ARTICLE.sub("", bare)))


def phrase_key(text: str) -> str:
    """Words without what writing them differently changes: "Sci-Fi", "sci fi" and "scifi" are one."""
    return "".join(stem(word) for word in words(text))
