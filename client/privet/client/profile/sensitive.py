"""What nobody is asked about and what is not concluded of anybody: an app's policy, with defaults.

The defaults follow Article 9 of the GDPR: health, beliefs, sexuality, politics, origin. They are
English words, and find what a catalogue says in these words; an app whose catalogue says it otherwise
gives its own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from privet.models.catalogue import Catalogue
from privet.models.content import item_texts
from privet.models.words import stem, words
from privet.privacy.errors import InputError

_LONGEST = 3

DEFAULTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "health": (
            "health", "mental health", "illness", "disease", "cancer", "tumour", "tumor", "hiv",
            "aids", "depression", "depressed", "anxiety", "bipolar", "schizophrenia", "autism",
            "autistic", "adhd", "dementia", "alzheimer", "diabetes", "diabetic", "epilepsy",
            "obesity", "eating disorder", "anorexia", "addiction", "alcoholism", "alcoholic",
            "rehab", "suicide", "suicidal", "self-harm", "pregnancy", "pregnant", "infertility",
            "fertility", "miscarriage", "abortion", "menopause", "contraception", "disability",
            "disabled", "therapy", "medication", "medical", "hospice",
        ),
        "religion": (
            "religion", "religious", "faith", "worship", "church", "mosque", "synagogue", "temple",
            "bible", "biblical", "gospel", "quran", "koran", "torah", "christian", "christianity",
            "catholic", "protestant", "evangelical", "mormon", "muslim", "islam", "islamic", "jew",
            "jewish", "judaism", "hindu", "hinduism", "buddhist", "buddhism", "sikh", "atheist",
            "atheism", "spirituality",
        ),
        "sexuality": (
            "sex", "sexual", "sexuality", "sexual orientation", "gay", "lesbian", "bisexual",
            "transgender", "lgbt", "lgbtq", "queer", "coming out", "drag queen", "erotic", "erotica",
            "porn", "pornography", "fetish", "kink", "bdsm", "escort",
        ),
        "politics": (
            "politics", "political", "politician", "election", "voting", "democrat", "republican",
            "conservative", "liberal", "socialist", "socialism", "communist", "communism",
            "fascist", "fascism", "nationalist", "nationalism", "feminist", "feminism", "activism",
            "activist", "protest", "trade union", "labour union", "labor union",
        ),
        "origin": (
            "ethnic", "ethnicity", "race relations", "racism", "immigrant", "immigration",
            "refugee", "asylum seeker", "migrant",
        ),
    }
)  # fmt: skip
"""Words of each field."""


@dataclass(frozen=True, kw_only=True)
class Sensitive:
    """Words that make a category or an item one that nobody is asked about.

    Attributes:
        words: Words and phrases of at most three words; plural and hyphens do not matter.

    Raises:
        InputError: An empty phrase, or one of more words.
    """

    words: frozenset[str] = field(
        default_factory=lambda: frozenset(word for field in DEFAULTS.values() for word in field)
    )

    def __post_init__(self) -> None:
        """Check the phrases."""
        if not all(1 <= len(words(said)) <= _LONGEST for said in self.words):
            raise InputError(f"Expected sensitive phrases of one to {_LONGEST} words.")

    @cached_property
    def _phrases(self) -> Mapping[str, tuple[list[str], ...]]:
        """The phrases by their first word."""
        found: dict[str, tuple[list[str], ...]] = {}
        for said in self.words:
            phrase = [_singular(word) for word in words(said)]
            found[phrase[0]] = (*found.get(phrase[0], ()), phrase)
        return found

    def touches(self, texts: Iterable[str]) -> bool:
        """Whether one of the words is in one of the texts."""
        for text in texts:
            said = [_singular(part) for word in words(text) for part in (word, *_parts(word))]
            for at, word in enumerate(said):
                if any(said[at : at + len(p)] == p for p in self._phrases.get(word, ())):
                    return True
        return False

    def of_item(self, catalogue: Catalogue, item: int) -> bool:
        """Whether an item's title, categories or description touch on it."""
        return self.touches(text for text, _ in item_texts(catalogue, item))


def _singular(word: str) -> str:
    """A stem without what else plurals of English add: "churches", "therapies"."""
    found = stem(word)
    if found.endswith("ie"):
        return f"{found[:-2]}y"
    return found[:-1] if found.endswith(("che", "she", "xe", "sse")) else found


def _parts(word: str) -> list[str]:
    return word.split("-") if "-" in word else []
