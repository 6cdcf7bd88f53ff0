"""What a review may speak of: the catalogue's categories, frequent nouns, and a list per domain."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from privet.client.profile.english import FUNCTION_WORDS, ITEM_WORDS
from privet.models.catalogue import Catalogue
from privet.models.words import stem, words

_LONGEST = 3
_DETERMINERS = frozenset(("the", "its", "their", "his", "her", "a", "an", "our", "this"))
_FEWEST_TEXTS = 5
_LEAST_SHARE = 0.01
_MOST_NOUNS = 200
_MOST_TEXTS = 2000


class Domain(StrEnum):
    """What kind of items an app has."""

    STREAMING = "streaming"
    SHOPPING = "shopping"
    SOCIAL = "social"


DOMAIN_ASPECTS: Mapping[Domain, Mapping[str, str]] = MappingProxyType(
    {
        Domain.STREAMING: {
            "acting": "actor actors actress actresses cast performance performances acted",
            "plot": "story storyline script writing screenplay narrative",
            "music": "soundtrack score song songs",
            "visuals": "effects cinematography photography camerawork animation cgi",
            "direction": "director directing directed",
            "characters": "character protagonist",
            "ending": "finale",
            "dialogue": "dialogues dialog lines",
            "pacing": "pace",
            "humour": "humor joke jokes",
        },
        Domain.SHOPPING: {
            "battery": "battery-life",
            "screen": "display",
            "camera": "lens",
            "price": "cost costs money value",
            "sound": "audio speaker speakers bass",
            "design": "style",
            "quality": "material materials fabric build",
            "fit": "size sizing run-small run-large runs-small runs-large",
            "delivery": "shipping packaging",
            "service": "customer-service support seller",
            "software": "app apps interface",
            "keyboard": "keys",
        },
        Domain.SOCIAL: {
            "community": "members followers",
            "moderation": "moderator moderators",
            "ads": "ad adverts advertising",
            "comments": "comment replies",
            "pictures": "photo photos images",
        },
    }
)
"""Aspects of each domain, and other words for them; a hyphen joins the words of a phrase."""


@dataclass(frozen=True, kw_only=True)
class Aspects:
    """Words that name an aspect.

    Attributes:
        names: Aspect by the stems that name it, joined by a space. Empty for the item itself.
        categories: The aspects that are categories of the catalogue.
    """

    names: Mapping[str, str]
    categories: frozenset[str]

    @classmethod
    def of(cls, catalogue: Catalogue, *, domains: Iterable[Domain] = tuple(Domain)) -> "Aspects":
        """Aspects of a catalogue.

        Of one word the first of these counts: the item's own words, the domains in their order,
        the categories, nouns that stand in at least 1 % of the descriptions.

        Args:
            catalogue: Its categories' names, and nouns of its descriptions.
            domains: Whose default lists are used; all if not given.
        """
        names = {stem(word): "" for word in ITEM_WORDS}
        for domain in domains:
            for aspect, others in DOMAIN_ASPECTS[domain].items():
                for said in (aspect, *others.split()):
                    names.setdefault(_key(said.replace("-", " ")), aspect)
        found = sorted({name for each in catalogue.categories for name in each})
        for name in found:
            names.setdefault(_key(name), name)
        for noun in frequent_nouns(catalogue.descriptions):
            names.setdefault(stem(noun), noun)
        return cls(names=names, categories=frozenset(found) & frozenset(names.values()))

    def found(self, tokens: Sequence[str]) -> Iterator[tuple[int, int, str]]:
        """Where aspects are named: first token, number of tokens, aspect; longest first."""
        at = 0
        while at < len(tokens):
            for size in range(min(_LONGEST, len(tokens) - at), 0, -1):
                aspect = self.names.get(" ".join(map(stem, tokens[at : at + size])))
                if aspect is not None:
                    yield at, size, aspect
                    at += size - 1
                    break
            at += 1


def frequent_nouns(texts: Sequence[str]) -> tuple[str, ...]:
    """Words that end a phrase after "the", "its", ... in many texts: "the old lighthouse, ...".

    Of more than 2,000 texts that many are read, at equal distances.
    """
    counts: Counter[str] = Counter()
    texts = texts[:: -(-len(texts) // _MOST_TEXTS) or 1]
    for text in texts:
        counts.update({noun for part in re.split(r"[^\w\s'-]+", text) for noun in _nouns(part)})
    least = max(_FEWEST_TEXTS, _LEAST_SHARE * len(texts))
    return tuple(noun for noun, count in counts.most_common(_MOST_NOUNS) if count >= least)


def _nouns(part: str) -> Iterator[str]:
    """Last words of phrases of at most two words after a determiner."""
    said = [*words(part), ""]
    for at, word in enumerate(said):
        if word in _DETERMINERS:
            phrase = []
            for after in said[at + 1 :]:
                if not after or after in FUNCTION_WORDS:
                    break
                phrase.append(after)
            if 1 <= len(phrase) <= 2 and len(phrase[-1]) > 2:
                yield phrase[-1]


def _key(said: str) -> str:
    return " ".join(stem(word) for word in words(said))
