"""Words that reviews in English are read by: connectives, negators, and what VADER's list lacks.

VADER's lexicon was made for posts; goods and films have words of their own ("laggy", "wooden"), and
in reviews of films the words of a genre ("war", "killer") are no opinion. All lower case.
"""

from collections.abc import Mapping
from types import MappingProxyType


def _set(text: str, separator: str | None = None) -> frozenset[str]:
    return frozenset(text.split(separator))


ITEM_WORDS = _set(
    "film films movie movies picture show series season episode documentary book novel game album "
    "product products item thing phone laptop tablet watch headphones earbuds shoes shoe boots "
    "jacket dress shirt bag device machine gadget post posts article video channel blog"
)
"""Name the item itself, which is what a clause without an aspect is about."""

CONTRASTS = _set("but however although though yet whereas while despite except")
"""Begin a clause of its own."""
LEADING = _set("although though despite while whereas if even")
"""At the start of a sentence: the clause ends with the comma."""
SOFT = _set("and when because since so with which plus")
"""Begin a clause of its own if both sides judge something."""
SUBJECTS = _set(
    "i it this that these those they we you he she overall everything everyone nobody my the a an "
    "there"
)
"""Begin a clause that has a subject of its own."""

NEGATORS = _set(
    "not no never neither nor none nothing without cannot hardly barely scarcely lack lacks lacking "
    "lacked cant dont doesnt didnt isnt wasnt arent werent wont wouldnt couldnt shouldnt"
)
EMPTY_NEGATIONS = _set(
    "not only|not just|no doubt|no wonder|nothing but|nothing short|can't wait|can't stop|"
    "couldn't stop|can't resist|couldn't put|can't get|could not stop|cannot wait|cannot stop|"
    "couldn't be|can't fault|cannot fault",
    "|",
)
"""Negator and next word that deny nothing."""
SCOPE_ENDS = _set(", and because when which so if unless since")

LIKERS = _set(
    "i we you they would really also did didn't don't do does doesn't not to still who never will "
    "won't might people children kids everyone"
)
"""Before "like", it is a verb; elsewhere it compares."""

GENRE_WORDS = _set(
    "horror war crime killer killers murder murders murderer scary comedy romance thriller drama "
    "mystery fantasy fight fights battle battles kill kills killed death dead zombie monster evil "
    "villain villains ghost hero heroes heroine superhero enemy enemies prison prisoner love-story "
    "friend friends party gift god violence violent weapon weapons gun guns bomb alien fiction action adventure free kind share "
    "value charge charging support supported please play played playing top matter help natural "
    "special chance original well"
)
"""In VADER's lexicon, or its opposite sense is common, but no opinion in a review."""

POLARITY: Mapping[str, float] = MappingProxyType(
    {
        **dict.fromkeys(_set("slow noisy pricey stiff clunky dated thin"), -1.3),
        **dict.fromkeys(_set("expensive blurry fragile cracked scratched tight wobbly"), -1.5),
        **dict.fromkeys(_set("cheesy predictable cliche cliched clichéd shallow rushed"), -1.4),
        **dict.fromkeys(_set("wooden bland flat forgettable mediocre convoluted overlong"), -1.6),
        **dict.fromkeys(_set("overpriced buggy laggy flimsy tedious overrated unwatchable"), -2.0),
        **dict.fromkeys(_set("clickbait toxic defective faulty unusable incoherent"), -2.0),
        **dict.fromkeys(_set("dies breaks crashes freezes leaks lags drags bugs glitches"), -1.6),
        **dict.fromkeys(_set("scratches fades overheats rattles creaks shrinks late mess"), -1.4),
        **dict.fromkeys(_set("uneven lifeless implausible inaccurate outdated bulky"), -1.4),
        **dict.fromkeys(_set("fast crisp sharp quiet vivid light affordable decent"), 1.3),
        **dict.fromkeys(_set("sturdy reliable durable smooth tasty informative cozy"), 1.7),
        **dict.fromkeys(_set("believable memorable touching moving underrated likeable"), 1.6),
        **dict.fromkeys(_set("gripping captivating convincing must-see unforgettable"), 2.2),
        **dict.fromkeys(_set("lasts works recommend recommended flawless immersive praise"), 1.6),
        **dict.fromkeys(_set("answered accurate intuitive seamless spacious"), 1.2),
    }
)
"""Valence on VADER's scale of -4 to 4, of words that it lacks or underrates in reviews."""

PHRASES: Mapping[str, float] = MappingProxyType(
    {
        "fell flat": -2.0,
        "falls flat": -2.0,
        "fall flat": -2.0,
        "fell asleep": -2.2,
        "makes no sense": -2.0,
        "made no sense": -2.0,
        "fell apart": -2.2,
        "falls apart": -2.2,
        "stopped working": -2.3,
        "sent it back": -2.0,
        "returned it": -1.5,
        "hard to follow": -1.5,
        "feels cheap": -1.6,
        "looks cheap": -1.6,
        "cheap quality": -1.6,
        "cheap price": 1.5,
        "low price": 1.5,
        "high price": -1.5,
        "run small": -1.2,
        "runs small": -1.2,
        "run large": -1.2,
        "runs large": -1.2,
        "good value": 2.2,
        "great value": 2.8,
        "poor value": -2.2,
        "could be better": -1.5,
        "could have been better": -1.5,
        "should be better": -1.7,
        "should have been better": -1.7,
        "could not be better": 2.8,
        "couldn't be better": 2.8,
        "hoping for more": -1.4,
        "hoped for more": -1.4,
        "expected more": -1.4,
        "expected better": -1.6,
        "not enough": -1.4,
    }
)

FUNCTION_WORDS = _set(
    "a an the i it is was are were be been this that these those of to in on at for with and or but "
    "my your his her their our its have has had do does did not no you we they he she from by as so "
    "very too all more than if when what which who there here just about would could should can "
    "will me him them one after before out up"
)
OTHER_LANGUAGES = _set(
    "der das und ist nicht ein eine den dem mit auf für sehr aber auch ich sie war sind zu im wie "
    "le la les et est une des du pas très mais que qui dans pour avec sur ce cette je il elle "
    "el los las y es muy pero una por con para no lo su como mas más del se "
    "il gli di che è non molto ma per con sono della questo lo ho "
    "o os e um uma não muito mas com por para do da que está foi "
    "de het een en van is niet maar zeer met voor ook dat op zijn "
    "och det att en är inte som men mycket jag på ett "
    "i w z na nie jest to się ale bardzo że do"
) - _set("is no i on in me do a was so as to an war com des os")
"""Frequent words of German, French, Spanish, Italian, Portuguese, Dutch, Swedish and Polish."""
