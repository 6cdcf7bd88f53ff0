"""Words of a text, the same on every device: the smallest part of content features and queries."""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
_KEPT_ENDINGS = ("ss", "us", "is")


def fold(text: str) -> str:
    """Text without case and accents, so that "Café" and "cafe" are one."""
    # Letters in a font of their own decompose to capitals, so fold and decompose twice (Unicode
    # 3.13, D146).
    once = unicodedata.normalize("NFKD", text.casefold())
    decomposed = unicodedata.normalize("NFKD", once.casefold())
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    return bare.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")


def words(text: str) -> list[str]:
    """Folded words in their order; hyphens and apostrophes within a word stay.

    >>> words("Sci-Fi from the '90s: Children's films!")
    ['sci-fi', 'from', 'the', '90s', "children's", 'films']
    """
    return _WORD.findall(fold(text))


def stem(word: str) -> str:
    """A folded word without a possessive, hyphens, apostrophes and a plural s.

    One rule for one ending of English, deliberately: it joins "film" and "films" and needs no
    dictionary. Words of other languages lose a final s on both sides, which does not hurt matching.

    >>> [stem(word) for word in ("children's", "sci-fi", "films", "class", "90s")]
    ['children', 'scifi', 'film', 'class', '90s']
    """
    joined = re.sub("['-]", "", word.removesuffix("'s"))
    plural = len(joined) > 3 and joined.endswith("s") and not joined[-2].isdecimal()
    return joined[:-1] if plural and not joined.endswith(_KEPT_ENDINGS) else joined


def terms(text: str) -> list[str]:
    """What an index counts: stems, and beside a word with a hyphen also its parts.

    >>> terms("Sci-fi films")
    ['scifi', 'sci', 'fi', 'film']
    """
    found = []
    for word in words(text):
        found.append(stem(word))
        if "-" in word:
            found += [stem(part) for part in word.split("-")]
    return found
