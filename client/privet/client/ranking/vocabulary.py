"""Words that a query's grammar is made of; years and durations are read in English regardless."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Words with a function in a query, folded (no capitals, no accents).

    Attributes:
        negators: Begin what is not wanted.
        unless: A word after a negator that makes it say nothing ("not only").
        joiners: Continue what is not wanted ("no horror or war").
        enders: End what is not wanted ("not violent but funny").
        nouns: Name what is searched for, say nothing of it, and end what is not wanted.
        fillers: Say nothing.
        likeners: Before a title they ask for what is like it ("like Alien").
        wishers: Before one of the likeners they make it a verb ("I would like").
        aliases: Word or words, to a category's name; used where the catalogue has the category.
        cheap: Words for items that cost little, for a catalogue with prices.
        dear: Words for items that cost much; after a negator they mean the same.
        short: Words for items of at most ``short_seconds``.
        short_seconds: How long a short item is at most.
        long: Words for items of at least ``long_seconds``.
        long_seconds: How long a long item is at least.
    """

    negators: frozenset[str]
    unless: frozenset[str]
    joiners: frozenset[str]
    enders: frozenset[str]
    nouns: frozenset[str]
    fillers: frozenset[str]
    likeners: frozenset[str]
    wishers: frozenset[str]
    aliases: Mapping[str, str]
    cheap: frozenset[str]
    dear: frozenset[str]
    short: frozenset[str]
    short_seconds: int
    long: frozenset[str]
    long_seconds: int


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


ENGLISH = Vocabulary(
    negators=_set(
        "no not without except excluding avoid never nothing non don't dont isn't aren't wasn't "
        "weren't doesn't didn't neither"
    ),
    unless=_set("only just"),
    joiners=_set("or nor and"),
    enders=_set("but with from however though please yet show only just"),
    nouns=_set(
        "film films movie movies picture pictures item items thing things something one ones post "
        "posts article articles video videos product products"
    ),
    fillers=_set(
        "a an the i i'd i'm me my we us you some any all show find give want wants like would prefer "
        "please with about of for to in on at is are be it that which too very so really much more "
        "quite rather and or nor but from by can could let's looking search recommend there if also "
        "as than then this these those ones them contain contains containing kind good watch"
    ),
    likeners=_set("like similar resembling resembles"),
    wishers=_set("would i'd we'd you'd don't not do"),
    aliases=MappingProxyType(
        {
            "funny": "comedy",
            "comic": "comedy",
            "comedic": "comedy",
            "humour": "comedy",
            "humor": "comedy",
            "humorous": "comedy",
            "hilarious": "comedy",
            "scary": "horror",
            "frightening": "horror",
            "romantic": "romance",
            "love story": "romance",
            "science fiction": "sci-fi",
            "sf": "sci-fi",
            "animated": "animation",
            "cartoon": "animation",
            "kids": "children",
            "documentaries": "documentary",
            "comedies": "comedy",
            "mysteries": "mystery",
            "fantasies": "fantasy",
            "noir": "film-noir",
            "cowboy": "western",
            "suspense": "thriller",
        }
    ),
    cheap=_set("cheap cheaper cheapest inexpensive affordable low-cost"),
    dear=_set("expensive pricey costly dear"),
    short=_set("short shorter brief"),
    short_seconds=5400,
    long=_set("long longer epic-length"),
    long_seconds=9000,
)
