"""The profile and questions in words: one template each, so that a language is one mapping."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from privet.client.profile.contexts import CONTEXTS
from privet.client.profile.profile import Profile
from privet.client.profile.questions import Answer, Ask, Question
from privet.client.ranking.explain import Basis
from privet.models.catalogue import Catalogue
from privet.privacy.errors import InputError

_BASES = (Basis.TOLD, Basis.INFERRED)
KEYS = frozenset(
    {
        *(f"{what} {basis} {side}" for what in ("topic", "item", "custom") for basis in _BASES
          for side in ("for", "against")),
        *(f"ask {kind}" for kind in Ask),
        *(f"answer {answer}" for answer in Answer),
        *(f"in {context}" for context in CONTEXTS),
        "locked", "nothing", "hidden",
    }
)  # fmt: skip
"""A template is needed for each."""

_FIELDS = {"title": "x", "other": "x", "topic": "x", "context": "x", "percent": "1"}


@dataclass(frozen=True, kw_only=True)
class ProfileWording:
    """The templates of a language.

    Attributes:
        templates: By the keys in `KEYS`; may use ``{title}``, ``{other}``, ``{topic}``,
            ``{context}`` and ``{percent}``.

    Raises:
        InputError: A template is missing, unknown, or uses another field.
    """

    templates: Mapping[str, str]

    def __post_init__(self) -> None:
        """Check keys and fields."""
        wrong = KEYS.symmetric_difference(self.templates)
        if wrong:
            raise InputError(f"Templates missing or unknown: {', '.join(sorted(wrong))}.")
        for key, template in self.templates.items():
            try:
                template.format(**_FIELDS)
            except (KeyError, IndexError, ValueError, AttributeError):
                raise InputError(
                    f"Expected the template {key!r} to use {', '.join(_FIELDS)} only."
                ) from None


ENGLISH = ProfileWording(
    templates=MappingProxyType(
        {
            "topic told for": "{topic}: you want more of it ({percent} %)",
            "topic told against": "{topic}: you want less of it ({percent} %)",
            "topic inferred for": "{topic}: we infer that you like it ({percent} %)",
            "topic inferred against": "{topic}: we infer that you care less for it ({percent} %)",
            "item told for": "{title}: you told us that you like it",
            "item told against": "{title}: you told us that you do not like it",
            "item inferred for": "{title}: we infer that it interests you",
            "item inferred against": "{title}: we infer that you do not want it",
            "custom told for": "{topic}: you want more of it {context}",
            "custom told against": "{topic}: you want less of it {context}",
            "custom inferred for": "{topic}: we infer that you like it more {context}",
            "custom inferred against": "{topic}: we infer that you like it less {context}",
            "ask like": "Do you like {title}?",
            "ask choice": "Which of these do you like: {title} or {other}?",
            "ask category": "Do you want more or less {topic}?",
            "ask context": "Do you want more or less {topic} {context}?",
            "answer yes": "Yes",
            "answer no": "No",
            "answer first": "The first",
            "answer second": "The second",
            "answer both": "Both",
            "answer more": "More",
            "answer less": "Less",
            "answer same": "As it is",
            "answer skip": "Skip",
            "in night": "at night",
            "in morning": "in the morning",
            "in afternoon": "in the afternoon",
            "in evening": "in the evening",
            "in weekday": "on weekdays",
            "in weekend": "at weekends",
            "locked": " (locked)",
            "nothing": "nothing yet",
            "hidden": "what was inferred is hidden",
        }
    )
)


def say_profile(
    profile: Profile, catalogue: Catalogue, *, wording: ProfileWording = ENGLISH
) -> tuple[str, ...]:
    """The profile in words, a line each.

    Args:
        profile: To be said.
        catalogue: For titles; without them identifiers are said.
        wording: The language.
    """
    lines = tuple(_lines(profile, catalogue, wording.templates))
    said = lines or (wording.templates["nothing"],)
    return said if profile.shows_inferred else (*said, wording.templates["hidden"])


def say_question(
    question: Question, catalogue: Catalogue, *, wording: ProfileWording = ENGLISH
) -> str:
    """A question in words."""
    titles = [_title(catalogue, item) for item in question.items]
    context = wording.templates[f"in {question.context}"] if question.context else ""
    return wording.templates[f"ask {question.kind}"].format(
        title=titles[0] if titles else "",
        other=titles[-1] if titles else "",
        topic=question.category,
        context=context,
    )


def _lines(profile: Profile, catalogue: Catalogue, templates: Mapping[str, str]) -> Iterator[str]:
    for topic in profile.topics:
        percent = f"{100 * abs(topic.weight):.0f}"
        line = _of(templates, "topic", topic.basis, topic.weight)
        locked = templates["locked"] if topic.locked else ""
        yield line.format(topic=topic.name, percent=percent) + locked
    for liking in (*profile.liked, *profile.disliked):
        line = _of(templates, "item", liking.basis, liking.weight)
        yield line.format(title=_title(catalogue, liking.item))
    for custom in profile.customs:
        line = _of(templates, "custom", custom.basis, custom.weight)
        yield line.format(topic=custom.topic, context=templates[f"in {custom.context}"])


def _of(templates: Mapping[str, str], what: str, basis: Basis, weight: float) -> str:
    return templates[f"{what} {basis} {'for' if weight >= 0 else 'against'}"]


def _title(catalogue: Catalogue, item: str) -> str:
    """An item's title; its identifier if the catalogue does not have one."""
    index = catalogue.index(item)
    return item if index is None or not catalogue.titles else catalogue.titles[index]
