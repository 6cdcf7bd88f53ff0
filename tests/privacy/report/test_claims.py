"""The claim says what the facts hold, and never more."""

import itertools
import math
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privet.privacy.report.claims import (
    ADVERSARIES,
    AdversaryCode,
    ClaimFacts,
    Randomness,
    Relation,
    Trust,
    claim_sentence,
    verdict,
)
from privet.privacy.report.text import rounded_up

NUMBER = re.compile(r"([εδ]) ([=≤]) ([\d.,]+(?:e-?\d+)?)")


def facts(
    *,
    epsilon: float | None = 1.0,
    delta: float | None = 1e-6,
    adversary: AdversaryCode = "A3",
    trust: Trust = "secure-aggregation",
    relation: Relation = "zero-out",
    noise_randomness: Randomness = "operating-system",
    private: bool = True,
) -> ClaimFacts:
    return ClaimFacts(
        unit="user",
        epsilon=epsilon,
        delta=delta,
        adversary=adversary,
        trust=trust,
        relation=relation,
        noise_randomness=noise_randomness,
        private=private,
    )


def numbers(sentence: str) -> dict[str, tuple[str, float]]:
    """Symbol to sign and value, for every number of the sentence."""
    return {s: (sign, float(n.replace(",", ""))) for s, sign, n in NUMBER.findall(sentence)}


@given(st.floats(0, 1e6), st.floats(0, 0.01))
def test_every_number_in_the_claim_equals_the_fact_or_is_marked_as_rounded_up(
    epsilon: float, delta: float
) -> None:
    sentence = claim_sentence(facts(epsilon=epsilon, delta=delta))
    found = numbers(sentence)
    assert set(found) == {"ε", "δ"}
    for symbol, fact in (("ε", epsilon), ("δ", delta)):
        sign, value = found[symbol]
        if sign == "=":
            assert value == fact
        else:
            assert fact < value <= fact * 1.0011 + 1e-300
    rest = NUMBER.sub("", sentence).replace("A3", "")
    assert not re.search(r"\d", rest)


@pytest.mark.parametrize("epsilon", [0.25, 1.0, 2.0, 8.5, 10.0, 0.9871])
def test_a_short_epsilon_is_written_as_it_is(epsilon: float) -> None:
    assert numbers(claim_sentence(facts(epsilon=epsilon)))["ε"] == ("=", epsilon)


@given(st.floats(0, 1e300, exclude_min=True, allow_subnormal=False))
def test_rounding_never_makes_a_bound_smaller(value: float) -> None:
    shown, exact = rounded_up(value)
    read = Decimal(shown.replace(",", ""))
    assert read >= Decimal(repr(value))
    assert exact == (read == Decimal(repr(value)))


def test_the_claim_names_unit_adversary_trust_and_relation() -> None:
    trusts: tuple[Trust, ...] = ("central", "secure-aggregation", "local")
    relations: tuple[Relation, ...] = ("zero-out", "replace-one")
    told = {"central": "the server keeps", "secure-aggregation": "follows secure", "local": "own"}
    for code, trust, relation in itertools.product(ADVERSARIES, trusts, relations):
        sentence = claim_sentence(facts(adversary=code, trust=trust, relation=relation))
        assert f"{ADVERSARIES[code]} ({code})" in sentence
        assert f"({relation})" in sentence
        assert told[trust] in sentence
        assert "user's whole history" in sentence
        assert sentence.endswith(".") and sentence.count(". ") == 0


@pytest.mark.parametrize("epsilon", [None, math.inf])
def test_without_a_finite_epsilon_the_claim_says_that_there_is_no_guarantee(
    epsilon: float | None,
) -> None:
    found = facts(epsilon=epsilon, private=False)
    assert verdict(found) == "NO GUARANTEE"
    assert claim_sentence(found).startswith("There is NO privacy guarantee")
    assert numbers(claim_sentence(found)) == {}


@pytest.mark.parametrize("delta", [None, 1.0])
def test_a_delta_that_allows_everything_is_no_guarantee(delta: float | None) -> None:
    assert verdict(facts(delta=delta)) == "NO GUARANTEE"


def test_without_noise_there_is_no_guarantee_whatever_epsilon_says() -> None:
    found = facts(noise_randomness="none", private=False)
    assert verdict(found) == "NO GUARANTEE"
    assert "no noise was added" in claim_sentence(found)


@pytest.mark.parametrize("epsilon", [None, 0.1, math.inf])
@pytest.mark.parametrize("private", [True, False])
def test_seeded_noise_is_not_private_whatever_epsilon_says(
    epsilon: float | None, private: bool
) -> None:
    found = facts(epsilon=epsilon, noise_randomness="seeded", private=private)
    assert verdict(found) == "NOT PRIVATE"
    assert claim_sentence(found).startswith("NOT PRIVATE")
    assert numbers(claim_sentence(found)) == {}


def test_a_run_marked_as_not_private_claims_no_number() -> None:
    found = facts(private=False)
    assert verdict(found) == "NOT PRIVATE"
    assert numbers(claim_sentence(found)) == {}
