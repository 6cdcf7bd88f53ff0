"""What a user's own review says, aspect by aspect, on the device.

Rules and a lexicon, no language model: English, explicit words, no irony. A text that is not English
is `unknown`, never neutral.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from privet.client.profile.aspects import Aspects
from privet.client.profile.clauses import Clause, clauses, sentences
from privet.client.profile.english import FUNCTION_WORDS, OTHER_LANGUAGES, SUBJECTS
from privet.client.profile.polarity import NEUTRAL, Polarity, is_negator
from privet.client.vault.event import Event
from privet.privacy.canonical import Json

KIND = "review"
"""The kind of an event that holds a review."""

_DENIAL = -0.74  # VADER's factor for a negated word
_OWN_WEIGHT = 2.0
_FEWEST_KNOWN = 0.5
_PRICE, _FOR_THE = "price", ("for the", "for its", "for that")


@dataclass(frozen=True, kw_only=True, repr=False)
class Opinion:
    """What a clause says of one aspect.

    Attributes:
        aspect: Its name; empty for the item itself.
        sentiment: From -1 to 1, not 0.
        start: Where the clause begins in the text.
        end: Where it ends.
    """

    aspect: str
    sentiment: float
    start: int
    end: int


@dataclass(frozen=True, kw_only=True, repr=False)
class Review:
    """What a text says. Its representation shows nothing of it.

    Attributes:
        known: Whether the text could be read: English, with words in it.
        opinions: In the order of the text.
    """

    known: bool
    opinions: tuple[Opinion, ...] = ()

    @property
    def sentiment(self) -> float | None:
        """Of the whole, from -1 to 1: the opinions' mean, of which those of the item count double.

        None if the text could not be read; 0 if it could and has no opinion.
        """
        if not self.known:
            return None
        weights = [1.0 if opinion.aspect else _OWN_WEIGHT for opinion in self.opinions]
        total = sum(w * o.sentiment for w, o in zip(weights, self.opinions, strict=True))
        return total / sum(weights) if weights else 0.0

    def of(self, aspect: str) -> float | None:
        """Mean sentiment of one aspect; None if nothing was said of it."""
        found = [opinion.sentiment for opinion in self.opinions if opinion.aspect == aspect]
        return sum(found) / len(found) if found else None

    def event(self, item: str, *, time: int, value: float | None = None) -> Event:
        """The review as an event: sentiment and aspects, not the text.

        Args:
            item: The reviewed item's identifier.
            time: Unix seconds.
            value: The writer's own verdict, from -1 to 1, such as of stars; goes before the text's.

        Raises:
            InputError: The event cannot be kept.
        """
        aspects = sorted({opinion.aspect for opinion in self.opinions} - {""})
        found: dict[str, Json] = {aspect: round(self.of(aspect) or 0.0, 4) for aspect in aspects}
        return Event(
            kind=KIND,
            item=item,
            time=time,
            value=self.sentiment if value is None else value,
            context={"aspects": found} if found else {},
        )


class Reviews:
    """Reads reviews in English.

    Args:
        aspects: What they may speak of.

    Raises:
        InputError: The extra ``text`` is not installed.
    """

    def __init__(self, aspects: Aspects) -> None:
        """Make the lexicon ready; words that name an aspect are no opinion."""
        self._aspects = aspects
        self._polarity = Polarity(word for said in aspects.names for word in (said, f"{said}s"))

    def read(self, text: str, *, title: str = "") -> Review:
        """Read a review; never raises, whatever the text.

        Args:
            text: Of the user.
            title: Of the reviewed item: its words are no opinion.
        """
        said = _without(text, title)
        found: list[Opinion] = []
        seen: list[str] = []
        for sentence in sentences(said):
            seen += [word.low for word in sentence if word.text[:1].isalpha()]
            found += self._of_sentence(sentence)
        known = self._is_english(seen) or (not seen and bool(found))
        return Review(known=known, opinions=tuple(found) if known else ())

    def _of_sentence(self, sentence: Clause) -> list[Opinion]:
        found: list[Opinion] = []
        last: tuple[str, ...] = ()
        before = 0.0
        for clause, goes_on in clauses(sentence, judges=self._judges, names=self._names):
            low = [word.low for word in clause]
            named = tuple(dict.fromkeys(self._named(low)))
            aspects = tuple(name for name in named if name) or ("",)
            if not named and goes_on and last and not _has_subject(low):
                aspects = last
            sentiment = self._polarity.score([word.text for word in clause])
            if abs(sentiment) < NEUTRAL and before and goes_on and _ends_denied(low):
                sentiment = _DENIAL * before
            if abs(sentiment) >= NEUTRAL:
                span = {"start": clause[0].start, "end": clause[-1].end}
                found += [Opinion(aspect=a, sentiment=sentiment, **span) for a in aspects]
                before = sentiment
            last = aspects
        return found

    def _named(self, low: Sequence[str]) -> list[str]:
        """Aspects that some words name; not "for the price", nor a category of the item."""
        found = []
        hits = list(self._aspects.found(low))
        starts = {at: aspect for at, _, aspect in hits}
        for at, size, aspect in hits:
            describes = aspect in self._aspects.categories and starts.get(at + size) == ""
            measures = aspect == _PRICE and " ".join(low[max(0, at - 2) : at]) in _FOR_THE
            if not describes and not measures:
                found.append(aspect)
        return found

    def _judges(self, words: Clause) -> bool:
        return self._polarity.judges([word.text for word in words])

    def _names(self, words: Clause) -> bool:
        return bool(self._named([word.low for word in words])) or (
            len(words) > 1 and _has_subject([word.low for word in words][1:])
        )

    def _is_english(self, words: Sequence[str]) -> bool:
        if not words:
            return False
        own = sum(word in FUNCTION_WORDS or "'" in word for word in words)
        other = sum(word in OTHER_LANGUAGES for word in words)
        if own or other:
            return own > other
        named = {at + n for at, size, _ in self._aspects.found(words) for n in range(size)}
        known = sum(at in named or self._polarity.knows(w) for at, w in enumerate(words))
        return known >= _FEWEST_KNOWN * len(words)


def _has_subject(low: Sequence[str]) -> bool:
    return bool(low) and low[0].split("'")[0] in SUBJECTS


def _ends_denied(low: Sequence[str]) -> bool:
    said = [word for word in low if word[:1].isalpha()]
    return bool(said) and (is_negator(said[-1]) or said[0] == "not")


def _without(text: str, title: str) -> str:
    """A text with an item's title replaced by marks of the same length."""
    if not title.strip():
        return text
    pattern = re.compile(re.escape(title.strip()), re.IGNORECASE)
    return pattern.sub(lambda match: "_" * len(match[0]), text)
