"""What matters most in the order of recommendations, and what a user can change: in plain words.

For Article 27 of the Digital Services Act: the main parameters, the reasons for their relative
importance, and options to change them. Every figure is read from explanations of recommendations that
were made, and from the settings in use: nothing here is written by hand about a model.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import MappingProxyType

from privet.client.ranking.explain import Basis, Explanation, Reason
from privet.client.ranking.rerank import ListRules
from privet.client.ranking.wording import KEYS
from privet.client.rights.phrases import Phrases
from privet.client.vault.history import Weighting
from privet.client.vault.receipt import Retention

_DAY = 86_400
_PARTS = tuple(sorted({key.rsplit(" ", 1)[0] for key in KEYS}))  # without for and against
_FIELDS: dict[str, tuple[str, ...]] = {
    "profile": (),
    "no profile": (),
    "nothing shown": (),
    "part": ("percent", "part"),
    **{f"part {part}": () for part in _PARTS},
    "kind": ("kind", "weight"),
    "against": ("kind",),
    "fades": ("days",),
    "does not fade": (),
    "kept": ("days",),
    "kept latest": ("events",),
    "kept until erased": (),
    "diversity": ("value",),
    "calibration": ("value",),
    "cap": ("topic", "most"),
    "blocked": ("topics",),
    "option profile": (),
    "option said": (),
    "option topics": (),
    "option list": (),
    "option erase": (),
}
PARAMETERS = Phrases(
    fields=MappingProxyType(_FIELDS),
    templates=MappingProxyType(
        {
            "profile": "What you see is ordered by what you did and said in this app. That profile "
            "is kept on this device.",
            "no profile": "What you see follows from no profile of you.",
            "nothing shown": "Nothing has been recommended yet, so there is no order to explain.",
            "part": "{percent} % of the order comes from {part}.",
            "part history told": "what you said that you like",
            "part history inferred": "what you looked at or used",
            "part dislike told": "what you said that you do not like",
            "part dislike inferred": "what you passed over",
            "part topic told": "topics that you asked for more or less of",
            "part topic inferred": "topics that you seem to like",
            "part context inferred": "the time, the day, the device and this session",
            "part popularity everyone": "what many people like",
            "part offset everyone": "how much is known of an item",
            "part list told": "the mix that you set for your lists",
            "part list everyone": "the mix that this app gives lists",
            "kind": "Of what you do, {kind} counts {weight}.",
            "against": "Of what you do, {kind} counts against an item.",
            "fades": "What you did {days} days ago counts half.",
            "does not fade": "What you did counts the same however long ago it was.",
            "kept": "It is erased after {days} days.",
            "kept latest": "Only the latest {events} things that you did are kept.",
            "kept until erased": "It is kept until you erase it.",
            "diversity": "The dial for variety stands at {value} of 100.",
            "calibration": "The dial for the mix of topics in your history stands at "
            "{value} of 100.",
            "cap": "A list has at most {most} of {topic}.",
            "blocked": "Never shown: {topics}.",
            "option profile": "You can have lists that follow from no profile, at any time.",
            "option said": "You can see, correct and add to what is known of you.",
            "option topics": "You can ask for more or less of a topic, or block it, and hide items.",
            "option list": "You can set how varied your lists are.",
            "option erase": "You can take everything along, and erase any of it.",
        }
    ),
)


@dataclass(frozen=True, kw_only=True)
class Share:
    """How much of an order comes from one kind of reason.

    Attributes:
        reason: What it is about.
        basis: Where it comes from.
        share: Of the sizes of all terms, in [0, 1].
    """

    reason: Reason
    basis: Basis
    share: float


def shares(explanations: Iterable[Explanation]) -> tuple[Share, ...]:
    """What recommendations were made of, the largest part first; the parts add up to 1.

    A part's size is the sum of its terms' absolute values over all of the recommendations: what
    counts against an item moves it as much as what counts for it.
    """
    sizes: dict[tuple[Reason, Basis], list[float]] = defaultdict(list)
    for explanation in explanations:
        for term in explanation.terms:
            sizes[term.reason, term.basis].append(abs(term.value))
    sums = {key: math.fsum(values) for key, values in sizes.items()}
    total = math.fsum(sums.values())
    found = [
        Share(reason=reason, basis=basis, share=size / total)
        for (reason, basis), size in sums.items()
        if size > 0
    ]
    return tuple(sorted(found, key=lambda one: (-one.share, one.reason, one.basis)))


def main_parameters(
    explanations: Iterable[Explanation],
    *,
    personal: bool,
    weighting: Weighting,
    rules: ListRules,
    retention: Retention,
    phrases: Phrases = PARAMETERS,
) -> tuple[str, ...]:
    """The main parameters in sentences: what matters, most first, and what the user can change.

    Args:
        explanations: Of recommendations as the user gets them now.
        personal: Whether lists follow from a profile now.
        weighting: What events are worth.
        rules: Of the user's lists.
        retention: How long events are kept.
        phrases: The language.
    """
    options = ("profile", "said", "topics", "list", "erase")
    return (
        phrases.say("profile" if personal else "no profile"),
        *_order(explanations, phrases),
        *(_history(weighting, retention, phrases) if personal else ()),
        *_lists(rules, phrases),
        *(phrases.say(f"option {what}") for what in options),
    )


def _order(explanations: Iterable[Explanation], phrases: Phrases) -> Iterator[str]:
    found = shares(explanations)
    if not found:
        yield phrases.say("nothing shown")
    for one in found:
        part = phrases.say(f"part {one.reason} {one.basis}")
        percent = "<1" if one.share < 0.01 else f"{100 * one.share:.0f}"
        yield phrases.say("part", percent=percent, part=part)


def _history(weighting: Weighting, retention: Retention, phrases: Phrases) -> Iterator[str]:
    for kind, weight in sorted(weighting.kinds.items(), key=lambda kind: (-kind[1], kind[0])):
        if weight > 0:
            yield phrases.say("kind", kind=kind, weight=f"{weight:g}")
        elif weight < 0:
            yield phrases.say("against", kind=kind)
    half = weighting.half_life_seconds
    if half is None:
        yield phrases.say("does not fade")
    else:
        yield phrases.say("fades", days=f"{half / _DAY:.3g}")
    if retention.max_age_seconds is not None:
        yield phrases.say("kept", days=f"{retention.max_age_seconds / _DAY:.3g}")
    if retention.max_events is not None:
        yield phrases.say("kept latest", events=retention.max_events)
    if retention == Retention():
        yield phrases.say("kept until erased")


def _lists(rules: ListRules, phrases: Phrases) -> Iterator[str]:
    for name, value in (("diversity", rules.diversity), ("calibration", rules.calibration)):
        if value > 0:
            yield phrases.say(name, value=f"{100 * value:.3g}")
    for topic, most in rules.caps.items():
        yield phrases.say("cap", topic=topic, most=most)
    if rules.blocked:
        yield phrases.say("blocked", topics=", ".join(sorted(rules.blocked)))
