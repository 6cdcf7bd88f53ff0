"""What a recommender learns, how it adds up, and what each mode leaves untouched."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.client.learning.world import (
    CATALOGUE,
    DAY,
    ITEMS,
    NEW,
    NOW,
    liked,
    made,
    now,
    published,
)

from privet.client.learning.situation import Mode, Situation
from privet.client.ranking.explain import Basis, Reason, explain
from privet.client.ranking.wording import say
from privet.client.vault.event import Event

MODELS = {name: published(name) for name in ("popularity", "spectral")}
KINDS = ("like", "view", "dislike", "hide", "rate", "skip", "more", "less", "search")
EVENTS = st.builds(
    Event,
    kind=st.sampled_from(KINDS),
    item=st.sampled_from((*CATALOGUE.item_ids, "unknown", "")),
    time=st.sampled_from((0, *range(NOW - 3 * DAY, NOW + DAY, 5000))),
    value=st.none() | st.floats(-5, 5),
    context=st.fixed_dictionaries(
        {},
        optional={
            "device": st.sampled_from(("tv", "phone")),
            "session": st.sampled_from(("s1", "s2")),
            "topic": st.sampled_from(("Comedy", "War", "absent")),
        },
    ),
)
SITUATIONS = st.builds(
    lambda **more: now(**more),
    now=st.integers(NOW - DAY, NOW + 3 * DAY),
    device=st.sampled_from(("", "tv")),
    session=st.sampled_from(("", "s1", "never")),
)
LIVES = st.sampled_from((None, 3600.0, 30.0 * DAY))


@settings(max_examples=150, deadline=None)
@given(st.lists(EVENTS, max_size=12), SITUATIONS, LIVES, st.sampled_from(Mode), st.data())
def test_observing_events_one_by_one_equals_a_reset_with_all(
    events: list[Event], situation: Situation, life: float | None, mode: Mode, data: st.DataObject
) -> None:
    model = MODELS[data.draw(st.sampled_from(sorted(MODELS)))]
    online, whole = (made(model, half_life_seconds=life) for _ in range(2))
    online.reset(())
    for event in events:
        online.observe(event)
        if data.draw(st.booleans()):  # scores between two events change nothing
            online.scores(mode, situation)
    whole.reset(events)
    first, second = online.scores(mode, situation), whole.scores(mode, situation)
    assert np.array_equal(first.values, second.values)
    assert all(first.terms(item) == second.terms(item) for item in range(len(CATALOGUE)))


@settings(max_examples=60, deadline=None)
@given(st.lists(EVENTS, max_size=8, unique_by=lambda event: event.time), SITUATIONS, st.data())
def test_events_of_different_times_may_come_in_any_order(
    events: list[Event], situation: Situation, data: st.DataObject
) -> None:
    mixed = data.draw(st.permutations(events))
    first, second = (made(MODELS["spectral"], half_life_seconds=DAY) for _ in range(2))
    first.reset(events)
    second.reset(mixed)
    one, other = (found.scores(Mode.PERSONAL, situation) for found in (first, second))
    assert np.array_equal(one.values, other.values)
    assert all(one.terms(item) == other.terms(item) for item in range(len(CATALOGUE)))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(EVENTS, max_size=12),
    SITUATIONS,
    st.sampled_from(Mode),
    st.sampled_from([None, *sorted(MODELS)]),
    st.floats(-1, 1),
)
def test_terms_add_up_to_every_score(
    events: list[Event], situation: Situation, mode: Mode, name: str | None, wish: float
) -> None:
    found = made(MODELS.get(name or ""), half_life_seconds=DAY)
    found.reset(events, topics={"Comedy": wish})
    scored = found.scores(mode, situation)
    assert np.isfinite(scored.values).all()
    for item in range(len(CATALOGUE)):
        explain(item, float(scored.values[item]), scored.terms(item))


@settings(max_examples=60, deadline=None)
@given(st.lists(EVENTS, min_size=1, max_size=8), st.sampled_from(sorted(MODELS)))
def test_the_popular_mode_knows_nothing_of_the_user(events: list[Event], name: str) -> None:
    one, other = made(MODELS[name]), made(MODELS[name])
    one.reset(events, topics={"Comedy": 1.0})
    here, there = now(device="tv", session="s1"), now(now=5)
    first, second = one.scores(Mode.POPULAR, here), other.scores(Mode.POPULAR, there)
    assert np.array_equal(first.values, second.values)
    assert {term.basis for item in range(ITEMS) for term in first.terms(item)} <= {Basis.EVERYONE}
    assert len(one.excluded(Mode.POPULAR, here)) == 0


@pytest.mark.parametrize("name", [None, *sorted(MODELS)])
def test_the_popular_mode_is_the_same_with_a_history_and_without(name: str | None) -> None:
    one, other = (made(MODELS.get(name or "")) for _ in range(2))
    one.reset([*liked(1, at=NOW - DAY), *liked(2, at=NOW - 60)], topics={"Comedy": 1.0})
    first, second = (found.scores(Mode.POPULAR, now()) for found in (one, other))
    assert np.array_equal(first.values, second.values)
    assert all(first.terms(item) == second.terms(item) for item in range(len(CATALOGUE)))
    assert len(one.excluded(Mode.POPULAR, now())) == 0
    assert one.excluded(Mode.POPULAR, now(), exclude_seen=True).tolist() == [1, 2]


def test_the_contextual_mode_knows_the_present_session_alone() -> None:
    session = liked(2, 4, at=NOW - 60, kind="view")
    with_past, without = made(MODELS["spectral"]), made(MODELS["spectral"])
    with_past.reset(
        [*liked(1, 2, 3, 5, at=NOW - DAY), *liked(4, at=NOW - DAY, kind="hide"), *session],
        topics={"War": 1.0},
    )
    without.reset(session)
    found = [r.scores(Mode.CONTEXTUAL, now()) for r in (with_past, without)]
    assert np.array_equal(found[0].values, found[1].values)
    assert all(found[0].terms(item) == found[1].terms(item) for item in range(len(CATALOGUE)))
    assert with_past.excluded(Mode.CONTEXTUAL, now()).tolist() == [2, 4]
    assert with_past.excluded(Mode.PERSONAL, now()).tolist() == [1, 2, 3, 4, 5]
    named = made(MODELS["spectral"])
    named.reset(liked(1, context={"session": "a"}) + liked(2, context={"session": "b"}))
    assert named.excluded(Mode.CONTEXTUAL, now(session="b")).tolist() == [2]
    assert named.excluded(Mode.CONTEXTUAL, now(session="c")).tolist() == []


@pytest.mark.parametrize("name", [None, "popularity", "spectral"])
def test_three_likes_bring_up_what_is_like_them_and_a_new_item_among_it(
    name: str | None,
) -> None:
    found = made(MODELS.get(name or ""))
    found.observe(*liked(0, 2, 4))
    values = found.scores(Mode.PERSONAL, now()).values
    gains = values - made(MODELS.get(name or "")).scores(Mode.PERSONAL, now()).values
    assert min(gains[6:ITEMS:2]) > max(gains[1:ITEMS:2])
    assert gains[NEW] > max(gains[1:ITEMS:2])
    assert (values[6:ITEMS:2] > values[7:ITEMS:2]).all()  # the even one of two equally popular


def test_a_dislike_pushes_down_what_is_like_it() -> None:
    found = made()
    found.observe(*liked(1, kind="dislike"))
    values = found.scores(Mode.PERSONAL, now()).values
    assert max(values[3:ITEMS:2]) < 0 <= min(values[0:ITEMS:2])
    assert found.excluded(Mode.PERSONAL, now()).tolist() == [1]
    (term,) = found.scores(Mode.PERSONAL, now()).terms(3)
    assert (term.reason, term.basis, term.item) == (Reason.DISLIKE, Basis.TOLD, 1)
    assert "which you do not like" in say(explain(3, term.value, [term]), CATALOGUE)


def test_topics_that_were_told_count_at_once_and_say_so() -> None:
    found = made()
    found.observe(Event(kind="more", context={"topic": "Comedy"}))
    found.set_topics({"War": -0.5})
    scored = found.scores(Mode.PERSONAL, now())
    assert scored.values[0] == pytest.approx(3) and scored.values[1] == pytest.approx(-0.75)
    (term,) = scored.terms(0)
    assert (term.reason, term.basis, term.topic) == (Reason.TOPIC, Basis.TOLD, "Comedy")
    found.observe(*[Event(kind="less", context={"topic": "Comedy"})] * 3)
    assert found.scores(Mode.PERSONAL, now()).values[0] == pytest.approx(-3)


def test_habits_of_a_device_show_on_that_device_alone() -> None:
    found = made()
    for n in range(40):
        device, item = ("tv", 2 * (n % 10)) if n % 2 else ("phone", 2 * (n % 10) + 1)
        found.observe(*liked(item, at=NOW - n * DAY // 2, context={"device": device}))
    tv, phone = (found.scores(Mode.PERSONAL, now(device=d)).values for d in ("tv", "phone"))
    assert tv[NEW] > phone[NEW] and tv[19] < phone[19]
    terms = found.scores(Mode.PERSONAL, now(device="tv")).terms(NEW)
    (term,) = (term for term in terms if term.context == "on this device")
    assert term.reason is Reason.CONTEXT and term.value > 0


def test_what_is_liked_and_what_was_watched_are_told_and_inferred() -> None:
    found = made(MODELS["spectral"])
    found.observe(*liked(0), *liked(2, kind="finish"))
    terms = found.scores(Mode.PERSONAL, now()).terms(4)
    bases = {term.item: term.basis for term in terms if term.reason is Reason.HISTORY}
    assert bases == {0: Basis.TOLD, 2: Basis.INFERRED}


def test_scores_stay_as_they_were_when_more_is_learnt() -> None:
    found = made(MODELS["spectral"])
    found.observe(*liked(0))
    scored = found.scores(Mode.PERSONAL, now())
    before, terms = scored.values.copy(), scored.terms(4)
    found.observe(*liked(1, 3, 5))
    found.adopt(None)
    assert np.array_equal(scored.values, before) and scored.terms(4) == terms
    assert math.fsum(term.value for term in terms) == pytest.approx(before[4])
