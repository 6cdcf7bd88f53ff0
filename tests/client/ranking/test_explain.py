import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from privet.client.ranking.categories import Categories
from privet.client.ranking.explain import (
    Basis,
    Reason,
    Term,
    context_terms,
    explain,
    list_term,
    model_terms,
    topic_terms,
)
from privet.client.ranking.rerank import ListRules, candidates, rerank
from privet.client.ranking.wording import ENGLISH, KEYS, say
from privet.models.catalogue import Catalogue
from privet.models.cohort import Cohort
from privet.models.model import LocalState, Release, SharedState
from privet.models.plan import PublicFacts
from privet.models.popularity import Popularity
from privet.models.score_parts import AdditiveModel, ScoreParts
from privet.models.spectral import Spectral
from privet.models.trending import Trending
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import InputError, IntegrityError

ITEMS = 30
CATALOGUE = Catalogue(
    item_ids=tuple(f"i{n}" for n in range(ITEMS)),
    titles=tuple(f"Film {n}" for n in range(ITEMS)),
    categories=tuple((("a", "b")[n % 2], "c") if n % 3 else () for n in range(ITEMS)),
)
CATEGORIES = Categories.of(CATALOGUE)


def trained(epsilon: float, *, noise: float, seed: int = 0) -> SharedState:
    """Spectral's shared state after sums over 300 users of three tastes, with this much noise."""
    rng = np.random.default_rng(seed)
    taste = rng.integers(3, size=300)
    liked = rng.random((300, ITEMS)) < np.where(np.arange(ITEMS) % 3 == taste[:, None], 0.6, 0.05)
    users, items = np.nonzero(liked)
    cohort = Cohort.from_pairs(users, items, n_users=300, n_items=ITEMS)
    facts = PublicFacts(devices=300, items=ITEMS, epsilon=epsilon, delta=1e-5, trust=Trust.CENTRAL)
    model = Spectral(head_scale=0.08 if noise else 1.0)
    state: SharedState = {}
    for step in model.steps(facts):
        given_back, _ = model.contribute(step, state, {}, cohort, None)  # type: ignore[arg-type]
        total = np.bincount(given_back.indices, given_back.values, minlength=step.dimension)
        release = Release(
            step=step,
            total=total + noise * rng.normal(size=step.dimension),
            noise_std=noise,
            devices=300,
        )
        state = model.update(step, state, release, facts)
    return state


STATES: dict[str, SharedState] = {
    "item map": trained(math.inf, noise=0),
    "vectors and a tail": trained(20.0, noise=0.6),
    "popularity alone": {
        "popularity": np.linspace(3.0, -1.0, ITEMS, dtype=np.float64),
        "head": np.zeros(0, np.int64),
    },
}


def test_the_states_are_of_the_kinds_that_their_names_say() -> None:
    assert "item_map" in STATES["item map"]
    assert "vectors" in STATES["vectors and a tail"]
    assert 2 <= len(STATES["vectors and a tail"]["head"]) < ITEMS - 2


def one(items: set[int]) -> Cohort:
    held = np.array(sorted(items), np.int64)
    return Cohort.from_pairs(np.zeros(len(held), np.int64), held, n_users=1, n_items=ITEMS)


@pytest.mark.parametrize("name", STATES)
@settings(deadline=None, max_examples=40)
@given(history=st.sets(st.integers(0, ITEMS - 1)))
def test_a_models_parts_add_up_to_its_score(name: str, history: set[int]) -> None:
    cohort, everything = one(history), np.arange(ITEMS)
    parts = Spectral().parts(STATES[name], {}, cohort, everything)
    scores = Spectral().score(STATES[name], {}, cohort)[0]
    np.testing.assert_allclose(parts.totals, scores, atol=1e-9)
    some = np.array([7, 2, 7])
    np.testing.assert_allclose(
        Spectral().parts(STATES[name], {}, cohort, some).totals, scores[some], atol=1e-9
    )
    assert set(parts.history.tolist()) <= history


def test_what_an_item_pulls_is_what_the_score_loses_without_it() -> None:
    """Not only the sum is right: each part is the effect of its item, the map being linear."""
    for name in ("item map", "vectors and a tail"):
        head = STATES[name]["head"].tolist()
        history = set(head[:4])
        inside = np.array(head, np.int64)
        parts = Spectral().parts(STATES[name], {}, one(history), inside)
        before = Spectral().score(STATES[name], {}, one(history))[0][inside]
        for row, item in enumerate(parts.history.tolist()):
            after = Spectral().score(STATES[name], {}, one(history - {item}))[0][inside]
            np.testing.assert_allclose(parts.pulls[row], before - after, atol=1e-9)


@pytest.mark.parametrize(
    ("model", "shared"),
    [
        (Popularity(), {"popularity": np.linspace(1, 2, ITEMS)}),
        (Trending(), {"weights": np.linspace(2, 1, ITEMS)}),
    ],
)
def test_models_of_popularity_say_so(model: AdditiveModel, shared: SharedState) -> None:
    local: LocalState = {}
    parts = model.parts(shared, local, one({1}), np.arange(ITEMS))
    scores = model.score(shared, local, one({1}))[0]
    np.testing.assert_array_equal(parts.totals, scores)
    assert not len(parts.history) and not parts.offset.any()


@settings(deadline=None, max_examples=30)
@given(
    history=st.sets(st.integers(0, ITEMS - 1), max_size=8),
    diversity=st.floats(0, 1),
    calibration=st.floats(0, 1),
    topics=st.lists(st.floats(-2, 2), min_size=3, max_size=3),
)
def test_a_list_is_explained_to_the_last_term(
    history: set[int], diversity: float, calibration: float, topics: list[float]
) -> None:
    weights, moment = np.array(topics), np.array([0.1, 0.0, -0.3])
    cohort = one(history)
    model = Spectral().score(STATES["vectors and a tail"], {}, cohort)[0]
    scores = model + CATEGORIES.shares @ (weights + moment)
    rules = ListRules(diversity=diversity, calibration=calibration)
    pool = candidates(scores, CATEGORIES, rules, seen=cohort.items)
    wanted = CATEGORIES.distribution(cohort.items)
    placed = rerank(pool, scores, 5, categories=CATEGORIES, rules=rules, wanted=wanted)
    items = np.array([entry.item for entry in placed], np.int64)
    parts = Spectral().parts(STATES["vectors and a tail"], {}, cohort, items)
    for column, entry in enumerate(placed):
        terms = (
            *model_terms(parts, column, told=frozenset({1, 2})),
            *topic_terms(CATEGORIES, weights, entry.item, basis=Basis.TOLD),
            *context_terms(CATEGORIES, moment, entry.item, context="in the evening"),
            list_term(entry, basis=Basis.TOLD),
        )
        found = explain(entry.item, entry.score + entry.delta, terms)
        assert math.fsum(t.value for t in found.terms) == pytest.approx(found.score, abs=1e-6)
        sizes = [abs(term.value) for term in found.terms]
        assert sizes == sorted(sizes, reverse=True) and 0 not in sizes
        assert all(
            (t.basis is Basis.TOLD) == (t.item in (1, 2)) for t in found.terms if t.item >= 0
        )
        assert say(found, CATALOGUE)


@pytest.mark.parametrize("change", ["missing", "scaled", "nan"])
def test_terms_that_do_not_add_up_are_no_explanation(change: str) -> None:
    parts = Spectral().parts(STATES["item map"], {}, one({0, 3}), np.array([6]))
    terms = [term for term in model_terms(parts, 0, told=frozenset()) if term.value]
    score = float(parts.totals[0])
    explain(6, score, terms)
    if change == "missing":
        terms.pop()
    else:
        factor = 1.01 if change == "scaled" else math.nan
        terms[0] = replace(terms[0], value=terms[0].value * factor)
    with pytest.raises(IntegrityError, match="add up"):
        explain(6, score, terms)


def history_terms(values: NDArray[np.float64]) -> tuple[Term, ...]:
    parts = ScoreParts(
        history=np.array([4, 5]),
        pulls=values[:, None],
        popularity=np.array([0.5]),
        offset=np.array([0.0]),
    )
    return model_terms(parts, 0, told=frozenset({4}))


def test_words_say_what_was_told_and_what_was_inferred() -> None:
    found = explain(1, 2.5, history_terms(np.array([3.0, -1.0])))
    assert say(found, CATALOGUE) == (
        "you told us that you like Film 4; less so, as we infer from your interest in Film 5; "
        "many people like it"
    )
    assert say(found, CATALOGUE, most=1) == "you told us that you like Film 4"
    assert say(explain(1, 0.0, ()), CATALOGUE) == ENGLISH.nothing
    assert "i4" in say(found, replace(CATALOGUE, titles=()))


def test_every_kind_of_term_has_a_template_and_other_fields_are_refused() -> None:
    made = {f"{r} {b} {s}" for r in Reason for b in Basis for s in ("for", "against")}
    assert made > KEYS
    with pytest.raises(InputError, match="history told for"):
        replace(
            ENGLISH,
            templates={k: v for k, v in ENGLISH.templates.items() if k[:12] != "history told"},
        )
    for bad in ("{secret}", "{0}", "{title.x}", "{"):
        with pytest.raises(InputError, match="title"):
            replace(ENGLISH, templates={**ENGLISH.templates, "list told for": bad})


def test_another_language_is_another_mapping() -> None:
    german = replace(
        ENGLISH, templates=dict.fromkeys(KEYS, "weil du {title} magst"), joined=" und "
    )
    found = explain(1, 2.0, history_terms(np.array([1.0, 0.5])))
    assert say(found, CATALOGUE, wording=german, most=1) == "weil du Film 4 magst"
    titled = replace(CATALOGUE, titles=("{title}",) * ITEMS)
    assert say(found, titled, most=1) == "you told us that you like {title}", (
        "a title is no template"
    )
