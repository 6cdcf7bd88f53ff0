"""A text's sentences, and their clauses: parts that may judge different things."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from privet.client.profile.english import CONTRASTS, LEADING, SOFT

_SENTENCE = re.compile(r"(?:[^.!?;:\n]|[.:](?=\S))+[.!?;:\n]*")
_APOSTROPHE = "\N{RIGHT SINGLE QUOTATION MARK}"
_DASHES = ("-", "\N{EN DASH}", "\N{EM DASH}")
_TOKEN = re.compile(
    rf"[^\W_]+(?:['{_APOSTROPHE}-][^\W_]+)*|,|\s[{''.join(_DASHES[1:])}-]\s|!+|[^\w\s]+"
)
_LONGEST_TEXT, _LONGEST_SENTENCE = 20_000, 120


@dataclass(frozen=True, kw_only=True, repr=False)
class Word:
    """A word, or a mark, and where it stands."""

    text: str
    start: int
    end: int

    @property
    def low(self) -> str:
        """In lower case, with a plain apostrophe."""
        return self.text.lower().replace(_APOSTROPHE, "'")


Clause = tuple[Word, ...]


def sentences(text: str) -> Iterator[Clause]:
    """Words of each sentence, of the first 20,000 characters; after 120 words a new one begins."""
    for match in _SENTENCE.finditer(text[:_LONGEST_TEXT]):
        start = match.start()
        words = tuple(
            Word(text=found[0].strip(), start=start + found.start(), end=start + found.end())
            for found in _TOKEN.finditer(match[0])
        )
        for begin in range(0, len(words), _LONGEST_SENTENCE):
            yield words[begin : begin + _LONGEST_SENTENCE]


def clauses(
    sentence: Clause, *, judges: Callable[[Clause], bool], names: Callable[[Clause], bool]
) -> Iterator[tuple[Clause, bool]]:
    """A sentence's clauses, each with whether it goes on from the one before.

    "But" and its like always part. A comma, "and" and the like part where both sides judge and the
    right one names what: "awful plot, brilliant acting", but not "long and boring".

    Args:
        sentence: From `sentences`.
        judges: Whether some words have an opinion.
        names: Whether some words name an aspect or the item.
    """
    first = True
    for hard in _hard_parts(sentence):
        kept: list[Word] = []
        for part in _soft_parts(hard):
            apart = names(part) and (judges(part) or _denies(part))
            if kept and apart and judges(tuple(kept)):
                yield tuple(kept), not first
                first, kept = False, []
            kept += part
        if kept:
            yield tuple(kept), not first
            first = False


def _hard_parts(sentence: Clause) -> Iterator[Clause]:
    kept: list[Word] = []
    leading = sentence[0].low in LEADING
    for at, word in enumerate(sentence):
        ends = leading and word.text == "," and at > 0
        dash = word.text in _DASHES
        if ends or dash or (word.low in CONTRASTS and 0 < at < len(sentence) - 1):
            if kept:
                yield tuple(kept)
            kept, leading = [], leading and not ends
        elif not (at == 0 and word.low in CONTRASTS):
            kept.append(word)
    if kept:
        yield tuple(kept)


def _soft_parts(words: Clause) -> Iterator[Clause]:
    kept: list[Word] = []
    for word in words:
        if kept and (word.text == "," or word.low in SOFT):
            yield tuple(kept)
            kept = []
        kept.append(word)
    if kept:
        yield tuple(kept)


def _denies(part: Sequence[Word]) -> bool:
    """Whether a part takes back what was said: ", the script isn't", ", not the price"."""
    said = [word.low for word in part if word.text[:1].isalpha()]
    return bool(said) and (said[-1].endswith("n't") or said[-1] == "not" or said[0] == "not")
