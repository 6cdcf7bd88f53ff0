"""Policies and strategies for them."""

from typing import Any

from hypothesis import strategies as st

from privet.privacy.accounting.adversaries import Adversary
from privet.privacy.minimization.messages import ERROR_WORDS
from privet.privacy.minimization.policy import EgressPolicy, FieldRule, FieldType

SEEN = (Adversary.CURIOUS_SERVER, Adversary.NETWORK)


def rule(field: str = "vector", **changes: Any) -> FieldRule:
    values: dict[str, Any] = {
        "field": field,
        "type": FieldType.UINT32,
        "shapes": {"one": (3,)},
        "bits": 32,
        "purpose": "test",
        "mechanism": "none",
        "retention": "none",
        "adversaries": SEEN,
    }
    return FieldRule(**{**values, **changes})


EVERY_KIND = EgressPolicy(
    rules=(
        rule("vector", shapes={"one": (3,), "two": (2, 2)}, bits=20),
        rule("key", type=FieldType.UINT8, shapes={"one": (32,)}, bits=8),
        rule("large", type=FieldType.UINT64, shapes={"one": (2,)}, bits=64),
        rule("count", shapes={"one": ()}, bits=4),
        rule("error", type=FieldType.WORD, shapes={"one": ()}, bits=3, words=ERROR_WORDS),
    ),
    plan_hash="ab" * 32,
)

TEXTS = st.text(min_size=1, max_size=12).filter(str.isprintable)


@st.composite
def rules(draw: st.DrawFn, field: str) -> FieldRule:
    kind = draw(st.sampled_from(FieldType))
    word = kind is FieldType.WORD
    words = tuple(draw(st.lists(TEXTS, min_size=2, max_size=8, unique=True))) if word else ()
    sizes = st.just(()) if word else st.lists(st.integers(1, 9), max_size=4).map(tuple)
    return FieldRule(
        field=field,
        type=kind,
        shapes=draw(st.dictionaries(TEXTS, sizes, min_size=1, max_size=3)),
        bits=draw(st.integers(3 if word else 1, kind.width)),
        purpose=draw(TEXTS),
        mechanism=draw(TEXTS),
        retention=draw(TEXTS),
        adversaries=tuple(
            draw(st.lists(st.sampled_from(list(Adversary)), min_size=1, unique=True))
        ),
        words=words,
    )


@st.composite
def policies(draw: st.DrawFn) -> EgressPolicy:
    names = draw(st.lists(TEXTS, max_size=4, unique=True))
    plan_hash = draw(st.sampled_from(["", "0" * 64, "ab" * 32]))
    return EgressPolicy(rules=tuple(draw(rules(name)) for name in names), plan_hash=plan_hash)
