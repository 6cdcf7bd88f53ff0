"""What a query in plain words asks for: wishes, what it does not want, years and durations.

A small grammar, not a language model: it runs in a millisecond on any device, and what it understood
can be shown and corrected. "No horror or war", "not violent but funny", "without zombies": a negator
reaches to the end of its list or clause. Words that are no category are searched as text.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from privet.client.ranking.constraints import Range, take_limits
from privet.client.ranking.vocabulary import ENGLISH, Vocabulary
from privet.models.catalogue import Catalogue
from privet.models.words import fold, stem, words
from privet.privacy.errors import InputError

LONGEST_QUERY = 1000
_LONGEST_PHRASE = 3
_TOKEN = re.compile(r"[^\W_]+(?:['-][^\W_]+)*|[,;.!?|]|(?<!\S)-(?=[^\W_])")
_STOPS = frozenset(";.!?|")
_MARKS = _STOPS | {",", "-"}


@dataclass(frozen=True, kw_only=True)
class Wish:
    """One thing that a query wants, or does not want.

    Attributes:
        said: The query's words, folded.
        category: The category that they name; empty if they are text.
    """

    said: str
    category: str = ""

    def __str__(self) -> str:
        """The words, and the category where it has another name."""
        same = not self.category or _key(self.said) == _key(self.category)
        return (self.category or self.said) if same else f"{self.said} ({self.category})"


@dataclass(frozen=True, kw_only=True)
class Understood:
    """A query as it was understood, to be shown to who asked.

    Attributes:
        wanted: What the ranking follows.
        without: What is left out.
        years: Alternatives, any of which will do; empty for no limit.
        without_years: Years that are left out.
        durations: Alternatives in seconds; empty for no limit.
        without_durations: Durations in seconds that are left out.
    """

    wanted: tuple[Wish, ...] = ()
    without: tuple[Wish, ...] = ()
    years: tuple[Range, ...] = ()
    without_years: tuple[Range, ...] = ()
    durations: tuple[Range, ...] = ()
    without_durations: tuple[Range, ...] = ()

    def __str__(self) -> str:
        """One line for people, in English."""
        said = [
            _line("wanted: ", map(str, self.wanted)),
            _line("without: ", map(str, self.without)),
            _line("years: ", map(_years, self.years)),
            _line("not the years: ", map(_years, self.without_years)),
            _line("duration: ", map(_duration, self.durations)),
            _line("not the duration: ", map(_duration, self.without_durations)),
        ]
        return "; ".join(part for part in said if part) or "everything"


def category_names(catalogue: Catalogue, vocabulary: Vocabulary = ENGLISH) -> dict[str, str]:
    """What may be said for each of a catalogue's categories: its own name, and its aliases.

    Returns:
        Category by key; a name goes before an alias, and of equal keys the first in the alphabet.
    """
    own: dict[str, str] = {}
    for name in sorted({name for names in catalogue.categories for name in names}):
        own.setdefault(_key(name), name)
    aliases = {
        _key(said): own[_key(name)]
        for said, name in vocabulary.aliases.items()
        if _key(name) in own
    }
    return {**aliases, **own}


def parse(query: str, names: Mapping[str, str], *, vocabulary: Vocabulary = ENGLISH) -> Understood:
    """Understand a query.

    Args:
        query: In plain words, at most 1,000 characters.
        names: Of the catalogue's categories, from `category_names`.
        vocabulary: The language's function words; years and durations are read in English.

    Raises:
        InputError: A longer query.
    """
    if len(query) > LONGEST_QUERY:
        raise InputError(
            f"Expected a query of at most {LONGEST_QUERY} characters, found {len(query)}."
        )
    text, years, durations = take_limits(fold(query))
    reader = _Reader(_TOKEN.findall(text), names, vocabulary)
    reader.read()
    for negated in reader.short:
        durations.add(Range(high=vocabulary.short_seconds), negated=negated, alternative=False)
    for negated in reader.long:
        durations.add(Range(low=vocabulary.long_seconds), negated=negated, alternative=False)
    return Understood(
        wanted=tuple(dict.fromkeys(reader.wanted)),
        without=tuple(dict.fromkeys(reader.without)),
        years=years.wanted,
        without_years=tuple(years.without),
        durations=durations.wanted,
        without_durations=tuple(durations.without),
    )


class _Reader:
    """Reads tokens from left to right, and knows whether they are wanted."""

    def __init__(self, tokens: list[str], names: Mapping[str, str], vocabulary: Vocabulary) -> None:
        self.tokens, self.names, self.vocabulary = tokens, names, vocabulary
        self.wanted: list[Wish] = []
        self.without: list[Wish] = []
        self.short: list[bool] = []
        self.long: list[bool] = []
        self.negated = self.fresh = self.once = False

    def read(self) -> None:
        at = 0
        while at < len(self.tokens):
            at += self._step(at)

    def _step(self, at: int) -> int:
        """Read one token or phrase; return how many tokens it had."""
        token, said = self.tokens[at], self.vocabulary
        for size in range(_LONGEST_PHRASE, 0, -1):
            phrase = self.tokens[at : at + size]
            whole = len(phrase) == size and not _MARKS.intersection(phrase)
            category = self.names.get(_key(" ".join(phrase))) if whole else None
            if category:
                self._note(Wish(said=" ".join(phrase), category=category))
                return size
        if token == "-" or token in said.negators:
            self._negate(at)
        elif token.startswith("non-"):
            self.tokens[at : at + 1] = ["non", token.removeprefix("non-"), "|"]
            return 0
        elif token in _STOPS or (token == "," and not self._list_goes_on(at)):
            self.negated = False
        elif token in said.short or token in said.long:
            (self.short if token in said.short else self.long).append(self.negated)
            self._used()
        elif token in said.joiners or token == ",":
            pass
        elif token in said.enders or (token in said.nouns and not self.fresh):
            self.negated = False
        elif token not in said.fillers and token not in said.nouns:
            self._note(Wish(said=token))
        return 1

    def _negate(self, at: int) -> None:
        after = self.tokens[at + 1] if at + 1 < len(self.tokens) else ""
        if after in self.vocabulary.unless:
            return
        # Of two in a row the second takes the first back: "not without humour".
        self.negated = not (self.negated and self.fresh)
        self.fresh, self.once = True, self.tokens[at] == "-"

    def _list_goes_on(self, at: int) -> bool:
        """Whether a comma within what is not wanted is one of a list: "no horror, war or zombies"."""
        if not self.negated or self.fresh:
            return False
        said = self.vocabulary
        for token in self.tokens[at + 1 :]:
            if token in _STOPS or token in said.negators or token in said.enders:
                return False
            if token in ("or", "nor"):
                return True
        return False

    def _note(self, wish: Wish) -> None:
        (self.without if self.negated else self.wanted).append(wish)
        self._used()

    def _used(self) -> None:
        self.fresh = False
        if self.once:
            self.negated = self.once = False


def _key(text: str) -> str:
    """Words without what writing them differently changes: "Sci-Fi", "sci fi" and "scifi" are one."""
    return "".join(stem(word) for word in words(text))


def _line(label: str, parts: Iterable[str]) -> str:
    joined = ", ".join(parts)
    return f"{label}{joined}" if joined else ""


def _years(found: Range) -> str:
    if found.low > found.high:
        return "none"
    if found.low == found.high:
        return f"{found.low:.0f}"
    if found.high == math.inf:
        return f"from {found.low:.0f} on"
    return f"until {found.high:.0f}" if found.low <= 0 else f"{found.low:.0f} to {found.high:.0f}"


def _duration(found: Range) -> str:
    if found.low > found.high:
        return "none"
    low = f"at least {found.low / 60:.4g} min"
    if found.low % 60 == 1:  # "over" is the next whole second
        low = f"over {(found.low - 1) / 60:.4g} min"
    high = f"at most {found.high / 60:.4g} min"
    if found.high % 60 == 59:
        high = f"under {(found.high + 1) / 60:.4g} min"
    if found.high == math.inf:
        return low
    return high if found.low <= 0 else f"{low} and {high}"
