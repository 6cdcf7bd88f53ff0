"""What a query in plain words asks for: wishes, what it does not want, years, durations, prices.

A small grammar, not a language model: it runs in a millisecond on any device, and what it understood
can be shown and corrected. "No horror or war", "not violent but funny", "without zombies": a negator
reaches to the end of its list or clause. Words that are no category are searched as text.
"""

import re
from collections.abc import Callable, Mapping

from privet.client.ranking.constraints import take_limits
from privet.client.ranking.limits import Range
from privet.client.ranking.titles import Likened, phrase_key, title_key
from privet.client.ranking.understood import Understood, Wish
from privet.client.ranking.vocabulary import ENGLISH, Vocabulary
from privet.models.catalogue import Catalogue
from privet.models.words import fold
from privet.privacy.errors import InputError

LONGEST_QUERY = 1000
_LONGEST_PHRASE = 3
_LONGEST_TITLE = 12
_TOKEN = re.compile(r"[^\W_]+(?:['-][^\W_]+)*|[,;.!?|]|(?<!\S)-(?=[^\W_])")
_STOPS = frozenset(";.!?|")
_MARKS = _STOPS | {",", "-"}
_GO_ON = (["or"], ["nor"], [","])


def category_names(catalogue: Catalogue, vocabulary: Vocabulary = ENGLISH) -> dict[str, str]:
    """What may be said for each of a catalogue's categories: its own name, and its aliases.

    Returns:
        Category by key; a name goes before an alias, and of equal keys the first in the alphabet.
    """
    own: dict[str, str] = {}
    for name in sorted({name for names in catalogue.categories for name in names}):
        own.setdefault(phrase_key(name), name)
    aliases = {
        phrase_key(said): own[phrase_key(name)]
        for said, name in vocabulary.aliases.items()
        if phrase_key(name) in own
    }
    return {**aliases, **own}


def parse(
    query: str,
    names: Mapping[str, str],
    *,
    titled: Callable[[str], Likened | None] = lambda key: None,
    vocabulary: Vocabulary = ENGLISH,
) -> Understood:
    """Understand a query.

    Args:
        query: In plain words, at most 1,000 characters.
        names: Of the catalogue's categories, from `category_names`.
        titled: The item of a `title_key`, if there is one.
        vocabulary: The language's function words; years and durations are read in English.

    Raises:
        InputError: A longer query.
    """
    if len(query) > LONGEST_QUERY:
        raise InputError(
            f"Expected a query of at most {LONGEST_QUERY} characters, found {len(query)}."
        )
    text, years, durations, prices = take_limits(fold(query))
    reader = _Reader(_TOKEN.findall(text), names, titled, vocabulary)
    reader.read()
    for negated in reader.short:
        durations.add(Range(high=vocabulary.short_seconds), negated=negated, alternative=False)
    for negated in reader.long:
        durations.add(Range(low=vocabulary.long_seconds), negated=negated, alternative=False)
    return Understood(
        wanted=tuple(dict.fromkeys(reader.wanted)),
        like=tuple(dict.fromkeys(reader.like)),
        without=tuple(dict.fromkeys(reader.without)),
        years=years.wanted,
        without_years=tuple(years.without),
        durations=durations.wanted,
        without_durations=tuple(durations.without),
        prices=prices.wanted,
        without_prices=tuple(prices.without),
        cheap=reader.cheap and not prices.wanted,
    )


class _Reader:
    """Reads tokens from left to right, and knows whether they are wanted."""

    def __init__(
        self,
        tokens: list[str],
        names: Mapping[str, str],
        titled: Callable[[str], Likened | None],
        vocabulary: Vocabulary,
    ) -> None:
        self.tokens, self.names, self.titled = tokens, names, titled
        self.vocabulary = vocabulary
        self.wanted: list[Wish] = []
        self.like: list[Likened] = []
        self.without: list[Wish] = []
        self.short: list[bool] = []
        self.long: list[bool] = []
        self.negated = self.fresh = self.once = self.cheap = False

    def read(self) -> None:
        at = 0
        while at < len(self.tokens):
            at += self._step(at)

    def _step(self, at: int) -> int:
        """Read one token or phrase; return how many tokens it had."""
        token, said = self.tokens[at], self.vocabulary
        if token in said.likeners and not self.negated and (size := self._titles(at)):
            return size
        for size in range(_LONGEST_PHRASE, 0, -1):
            phrase = self.tokens[at : at + size]
            whole = len(phrase) == size and not _MARKS.intersection(phrase)
            category = self.names.get(phrase_key(" ".join(phrase))) if whole else None
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
        elif token in (said.dear if self.negated else said.cheap):
            self.cheap = True
            self._used()
            # "not too expensive shoes" denies one word, "no expensive or ugly shoes" two.
            self.negated = self.negated and self.tokens[at + 1 : at + 2] in _GO_ON
        elif token in said.joiners or token == ",":
            pass
        elif token in said.enders or (token in said.nouns and not self.fresh):
            self.negated = False
        elif token not in said.fillers and token not in said.nouns:
            self._note(Wish(said=token))
        return 1

    def _titles(self, at: int) -> int:
        """Read titles after a word such as "like"; how many tokens there were, 0 for no title."""
        said, before = self.vocabulary, self.tokens[at - 1] if at else ""
        if before in said.wishers:
            return 0
        begin, end = at + 1, at
        while begin < len(self.tokens):
            if self.tokens[begin] in ("to", *said.joiners, ","):
                begin += 1
                continue
            size, found = self._title(begin)
            if found is None:
                break
            self.like.append(found)
            begin = end = begin + size
        return end - at if end > at else 0

    def _title(self, begin: int) -> tuple[int, Likened | None]:
        """The longest title that begins at a token; one that is a function word alone is none."""
        for size in range(min(_LONGEST_TITLE, len(self.tokens) - begin), 0, -1):
            phrase = self.tokens[begin : begin + size]
            last = phrase[-1] in _MARKS or _MARKS.intersection(phrase) - {","}
            empty = size == 1 and phrase[0] in self.vocabulary.fillers
            found = None if last or empty else self.titled(title_key(" ".join(phrase)))
            if found is not None:
                return size, found
        return 0, None

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
