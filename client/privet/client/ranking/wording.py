"""Explanations in words: one template a kind of term, so that a language is one mapping."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from privet.client.ranking.explain import Basis, Explanation, Reason, Term
from privet.models.catalogue import Catalogue
from privet.privacy.errors import InputError

_KINDS = {
    Reason.HISTORY: (Basis.TOLD, Basis.INFERRED),
    Reason.DISLIKE: (Basis.TOLD, Basis.INFERRED),
    Reason.TOPIC: (Basis.TOLD, Basis.INFERRED),
    Reason.CONTEXT: (Basis.INFERRED,),
    Reason.POPULARITY: (Basis.EVERYONE,),
    Reason.OFFSET: (Basis.EVERYONE,),
    Reason.LIST: (Basis.TOLD, Basis.EVERYONE),
}
KEYS = frozenset(
    f"{reason} {basis} {side}"
    for reason, bases in _KINDS.items()
    for basis in bases
    for side in ("for", "against")
)
"""A template is needed for each: what a term is about, where it comes from, which way it counts."""

_FIELDS = {"title": "x", "topic": "x", "context": "x"}


@dataclass(frozen=True, kw_only=True)
class Wording:
    """The templates of a language.

    Attributes:
        templates: By the keys in `KEYS`; may use ``{title}`` of an item of the history, ``{topic}``
            and ``{context}``.
        joined: Between reasons.
        nothing: Where there is no reason.

    Raises:
        InputError: A template is missing, unknown, or uses another field.
    """

    templates: Mapping[str, str]
    joined: str = "; "
    nothing: str

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
                    f"Expected the template {key!r} to use {{title}}, {{topic}} and {{context}} "
                    "only."
                ) from None


ENGLISH = Wording(
    templates=MappingProxyType(
        {
            "history told for": "you told us that you like {title}",
            "history told against": "less so, given that you like {title}",
            "history inferred for": "we infer it from your interest in {title}",
            "history inferred against": "less so, as we infer from your interest in {title}",
            "dislike told for": "it is unlike {title}, which you told us you do not like",
            "dislike told against": "less so, as it is like {title}, which you do not like",
            "dislike inferred for": "it is unlike {title}, for which, we infer, you do not care",
            "dislike inferred against": "less so, as we infer that you do not care for {title}",
            "topic told for": "you asked for more {topic}",
            "topic told against": "less so, as you asked for less {topic}",
            "topic inferred for": "we infer that you like {topic}",
            "topic inferred against": "less so, as we infer that you care less for {topic}",
            "context inferred for": "we infer that you like {topic} more often {context}",
            "context inferred against": "less so, as we infer less {topic} {context}",
            "popularity everyone for": "many people like it",
            "popularity everyone against": "less so, as few people know it",
            "offset everyone for": "more is known of it than of other items",
            "offset everyone against": "it comes after items that more is known of",
            "list told for": "it fits the mix that you set for your lists",
            "list told against": "less so, for the variety that you set for your lists",
            "list everyone for": "it fits the mix that this app gives lists",
            "list everyone against": "less so, for the variety that this app gives lists",
        }
    ),
    nothing="nothing is known that speaks for it or against it",
)


def say(
    explanation: Explanation, catalogue: Catalogue, *, wording: Wording = ENGLISH, most: int = 3
) -> str:
    """The largest reasons of an explanation in words.

    Args:
        explanation: To be said.
        catalogue: For titles; without them identifiers are said.
        wording: The language.
        most: How many reasons at most, 1 or more.
    """
    said = [_say(term, catalogue, wording) for term in explanation.terms[:most]]
    return wording.joined.join(said) or wording.nothing


def _say(term: Term, catalogue: Catalogue, wording: Wording) -> str:
    names = catalogue.titles or catalogue.item_ids
    template = wording.templates[
        f"{term.reason} {term.basis} {'for' if term.value > 0 else 'against'}"
    ]
    return template.format(
        title=names[term.item] if term.item >= 0 else "", topic=term.topic, context=term.context
    )
