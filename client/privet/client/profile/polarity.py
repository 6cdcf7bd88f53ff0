"""How good or bad a clause sounds: VADER's rules and lexicon, with a wider scope of negation.

VADER (Hutto and Gilbert 2014, ICWSM-14) looks for a negator in the three words before a word of its
lexicon. Here a negator reaches to the end of its part of the clause: "I don't think that the acting
is good". What VADER reads is rewritten for that; its scoring is its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from privet.client.profile.english import (
    EMPTY_NEGATIONS,
    GENRE_WORDS,
    LIKERS,
    NEGATORS,
    PHRASES,
    POLARITY,
    SCOPE_ENDS,
)
from privet.privacy.errors import InputError

NEUTRAL = 0.05
"""Below this size a compound score is no opinion (Hutto and Gilbert 2014)."""

_BAD = "privetbad"
_VADERS_REACH = 3
_SOFT_NEGATORS = frozenset(("lack", "lacks", "lacking", "lacked", "hardly", "barely", "scarcely"))


class _Analyzer(Protocol):
    @property
    def lexicon(self) -> Mapping[str, float]: ...

    def polarity_scores(self, text: str) -> Mapping[str, float]: ...


class Polarity:
    """Scores clauses of words.

    Args:
        neutral: Words without an opinion, beside those of genres: names of aspects, say.

    Raises:
        InputError: The extra ``text`` is not installed.
    """

    def __init__(self, neutral: Iterable[str] = ()) -> None:
        """Build the lexicon."""
        self._analyzer = _analyzer(GENRE_WORDS | NEGATORS | frozenset(neutral))
        self._lexicon = self._analyzer.lexicon

    def knows(self, word: str) -> bool:
        """Whether a word has a valence, or makes one."""
        return bool(self._lexicon.get(word))

    def judges(self, tokens: Sequence[str]) -> bool:
        """Whether there is an opinion in a clause; tokens in lower case."""
        return abs(self.score(tokens)) >= NEUTRAL

    def score(self, tokens: Sequence[str]) -> float:
        """Sentiment of a clause, from -1 to 1; 0 where it has no opinion.

        Args:
            tokens: Words as they were written, emoji and marks of exclamation among them.
        """
        if not tokens:
            return 0.0
        rewritten = self._rewritten(list(tokens))
        return float(self._analyzer.polarity_scores(" ".join(rewritten))["compound"])

    def _rewritten(self, said: list[str]) -> list[str]:
        """The clause in words that VADER reads as they are meant."""
        low = [word.lower() for word in said]
        out: list[str] = []
        negator, reached = -1, False
        for at, word in enumerate(low):
            before = low[at - 1] if at else ""
            after = low[at + 1] if at + 1 < len(low) else ""
            if word in SCOPE_ENDS:
                out += ["x"] if negator >= 0 else []
                negator = -1
            if f"{word} {after}" in EMPTY_NEGATIONS:
                out.append("x")
            elif is_negator(word):
                out.append("not" if word in _SOFT_NEGATORS else said[at])
                negator, reached = at, False
            elif word == "like" and before not in LIKERS:
                out.append("as")
            elif word == "too" and self._exceeds(low, at):
                out.append(_BAD)
            elif self._is_exceeded(low, at) or (word == "enough" and negator >= 0):
                out.append("x")
            else:
                far = negator >= 0 and at - negator > _VADERS_REACH
                if far and self.knows(word):
                    out.append("not")
                out.append(said[at])
            reached |= self.knows(word)
        if any(word.startswith("lack") for word in low) and not reached:
            out.append(_BAD)
        return out

    def _exceeds(self, low: Sequence[str], at: int) -> bool:
        """Whether "too" at this place says that something is more than it should be."""
        after = low[at + 1] if at + 1 < len(low) else ""
        denied = at and is_negator(low[at - 1])
        return bool(after[:1].isalpha() and not denied and self._lexicon.get(after, 0.0) >= 0)

    def _is_exceeded(self, low: Sequence[str], at: int) -> bool:
        return at > 0 and low[at - 1] == "too" and self._exceeds(low, at - 1)


def is_negator(word: str) -> bool:
    """Whether a word in lower case denies what follows."""
    return word in NEGATORS or word.endswith("n't")


def _analyzer(neutral: frozenset[str]) -> _Analyzer:
    try:
        from vader import SentimentIntensityAnalyzer
    except ImportError:
        raise InputError(
            'Reading the sentiment of reviews needs the extra: pip install "privet[text]". '
            "Without it a review counts by the value that its writer gives it."
        ) from None
    base = SentimentIntensityAnalyzer()
    lexicon = {word: value for word, value in base.lexicon.items() if word not in neutral}
    return SentimentIntensityAnalyzer(
        {**lexicon, **POLARITY, _BAD: -1.8}, multiword={**base.multiword, **PHRASES}
    )
