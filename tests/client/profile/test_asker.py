from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.client.vault.world import NOW, made, opened

from privet.client.profile.asker import Asker, AskRules
from privet.client.profile.questions import (
    ANSWERS,
    Answer,
    Ask,
    Question,
    answered,
    asked,
    names_about,
)
from privet.client.profile.sensitive import Sensitive
from privet.client.profile.taste import Taste
from privet.client.profile.topics import remove_topic, set_topic
from privet.client.ranking.categories import Categories
from privet.client.vault.event import EntryKind, Event, Value
from privet.client.vault.history import Weighting
from privet.models.catalogue import Catalogue
from privet.privacy.errors import InputError

ITEMS = 12
HOLY, HEALTH = 10, 11
CATALOGUE = Catalogue(
    item_ids=tuple(f"item {n}" for n in range(ITEMS)),
    titles=(*(f"title {n}" for n in range(ITEMS - 2)), "An old Church", "Cook well"),
    categories=(*((("Comedy",), ("War",))[n % 2] for n in range(ITEMS - 1)), ("Mental Health",)),
)
CATEGORIES = Categories.of(CATALOGUE)
NOBODY = np.zeros(ITEMS)


def taste(seed: int = 0, known: list[float] | None = None) -> Taste:
    rng = np.random.default_rng(seed)
    shares = np.linspace(1, 0.1, ITEMS) if known is None else np.array(known)
    return Taste(factors=rng.standard_normal((ITEMS, 3)), known=shares)


def asker(own: Taste | None = None, **rules: Any) -> Asker:
    return Asker(
        catalogue=CATALOGUE,
        categories=CATEGORIES,
        taste=own or taste(),
        weighting=Weighting(),
        rules=AskRules(**rules),
    )


def interview(
    one: Asker, choose: Any, events: list[Event], most: int = 500
) -> tuple[list[Question], dict[str, Value]]:
    """All questions until there is none, and the entries of their answers."""
    put: list[Question] = []
    entries: dict[str, Value] = {}
    while len(put) < most:
        question = one.next(NOBODY, events=events, entries=entries, now=NOW)
        if question is None:
            return put, entries
        put.append(question)
        told = answered(question, choose(ANSWERS[question.kind]), time=NOW + len(put))
        events += told.events
        entries |= {entry.name: entry.value for entry in told.entries}
    raise AssertionError("it never stops asking")


HISTORY = [
    Event(kind="like", item=f"item {n % 4}", time=NOW - 3600 * 7 * n) for n in range(40, 0, -1)
]


@settings(deadline=None, max_examples=25)
@given(st.randoms(use_true_random=False), st.integers(0, 5), st.booleans())
def test_no_question_is_put_twice_nor_about_an_item_of_the_history(
    random: Any, seed: int, old: bool
) -> None:
    events = list(HISTORY) if old else []
    before = {event.item for event in events}
    put, _ = interview(asker(taste(seed), least_worth=0.0), random.choice, events)
    assert len({question.name for question in put}) == len(put)
    items = [item for question in put for item in question.items]
    assert len(set(items)) == len(items) and not before & set(items)
    assert all(0 <= question.worth <= 1 for question in put)
    assert put and (not old or any(question.kind is Ask.CONTEXT for question in put))


def sensitive_in(put: list[Question]) -> bool:
    texts = [*(question.category for question in put)]
    texts += [
        CATALOGUE.titles[CATALOGUE.item_ids.index(item)]
        for question in put
        for item in question.items
    ]
    return any("Health" in text or "Church" in text or "Cook" in text for text in texts)


def test_nobody_is_asked_about_what_is_sensitive_and_without_the_policy_they_would_be() -> None:
    put, _ = interview(asker(least_worth=0.0), lambda answers: answers[-1], list(HISTORY))
    assert not sensitive_in(put)
    careless = asker(least_worth=0.0, sensitive=Sensitive(words=frozenset({"zebra"})))
    assert sensitive_in(interview(careless, lambda answers: answers[-1], list(HISTORY))[0])


@pytest.mark.parametrize(
    ("text", "touched"),
    [
        ("Gay & Lesbian", True),
        ("Mental-Health Memoirs", True),
        ("Churches of Rome", True),
        ("coming out", True),
        ("Elections 2024", True),
        ("Self-harm", True),
        ("Comedy", False),
        ("Coming home", False),
        ("Sussex walks", False),
        ("", False),
    ],
)
def test_sensitive_words_are_found_whole_and_in_plural(text: str, touched: bool) -> None:
    assert Sensitive().touches([text]) is touched


def test_a_topic_that_was_locked_or_removed_is_not_asked_about() -> None:
    one = asker(least_worth=0.0, kinds=frozenset({Ask.CATEGORY}))
    entries: dict[str, Value] = {}
    first = one.next(NOBODY, events=[], entries=entries, now=NOW)
    assert first is not None
    for edit in (remove_topic(first.category, time=1),
                 set_topic(first.category, 0.5, time=1, locked=True)):  # fmt: skip
        then = one.next(NOBODY, events=[], entries={edit.name: edit.value}, now=NOW)
        assert then is not None and then.category != first.category


def test_of_two_equal_items_only_one_is_worth_a_question() -> None:
    factors = np.zeros((ITEMS, 2))
    factors[[0, 1]], factors[2] = (3.0, 0.0), (0.0, 2.0)
    own = Taste(factors=factors, known=np.ones(ITEMS))
    one = asker(own, kinds=frozenset({Ask.LIKE}))
    first = one.next(NOBODY, events=[], entries={}, now=NOW)
    assert first is not None and first.items == ("item 0",)
    no = [Event(kind="dislike", item="item 0", time=1)]
    choice = asker(own, kinds=frozenset({Ask.CHOICE})).next(NOBODY, events=[], entries={}, now=NOW)
    assert choice is not None and set(choice.items) == {"item 0", "item 2"}
    one = asker(replace(own, factors=np.abs(own.factors)), kinds=frozenset({Ask.LIKE}))
    assert one.next(NOBODY, events=no, entries={}, now=NOW) != first


def test_what_more_people_know_is_asked_first() -> None:
    factors = np.eye(ITEMS)
    known = [0.2] * ITEMS
    known[5] = 1.0
    one = asker(Taste(factors=factors, known=np.array(known)), kinds=frozenset({Ask.LIKE}))
    first = one.next(NOBODY, events=[], entries={}, now=NOW)
    assert first is not None and first.items == ("item 5",)


def test_nothing_is_asked_where_no_question_is_worth_it() -> None:
    assert asker(least_worth=1.0).next(NOBODY, events=[], entries={}, now=NOW) is None
    flat = Taste(factors=np.zeros((ITEMS, 2)), known=np.ones(ITEMS))
    assert asker(flat, least_worth=0.0).next(NOBODY, events=[], entries={}, now=NOW) is None
    assert asker(kinds=frozenset()).next(NOBODY, events=[], entries={}, now=NOW) is None
    put, _ = interview(asker(least_worth=0.01), lambda answers: answers[0], [])
    everything, _ = interview(asker(least_worth=0.0), lambda answers: answers[0], [])
    assert 0 < len(put) < len(everything)


def test_without_a_model_categories_are_asked_about() -> None:
    first = asker(Taste.of(CATALOGUE, CATEGORIES)).next(NOBODY, events=[], entries={}, now=NOW)
    assert first is not None and first.kind is Ask.CATEGORY


@pytest.mark.parametrize("kind", Ask)
@pytest.mark.parametrize("answer", Answer)
def test_an_answer_is_kept_as_told_and_a_skip_says_nothing(kind: Ask, answer: Answer) -> None:
    items = {Ask.LIKE: ("a",), Ask.CHOICE: ("a", "b")}.get(kind, ())
    question = Question(kind=kind, items=items, category="" if items else "Comedy")
    if answer not in ANSWERS[kind]:
        with pytest.raises(InputError, match="one of these answers"):
            answered(question, answer, time=5)
        return
    told = answered(question, str(answer), time=5)
    kinds = {event.item: event.kind for event in told.events}
    assert kinds == {
        Answer.YES: {"a": "like"},
        Answer.NO: {"a": "dislike"},
        Answer.FIRST: {"a": "like"},
        Answer.SECOND: {"b": "like"},
        Answer.BOTH: {"a": "like", "b": "like"},
    }.get(answer, {})
    (entry,) = told.entries
    assert entry.kind is EntryKind.PROFILE
    (put,) = asked({entry.name: entry.value})
    assert (put.question.name, put.answer, put.time) == (question.name, answer, 5)


def test_answers_survive_a_restart_and_items_that_are_erased_take_theirs_along(
    tmp_path: Path,
) -> None:
    one, path = asker(), tmp_path / "store.db"
    with made(path) as vault:
        first = one.next(NOBODY, events=[], entries={}, now=NOW)
        assert first is not None and first.items
        told = answered(first, Answer.SKIP, time=NOW)
        vault.add(events=told.events, entries=told.entries)
    with opened(path) as vault:
        entries = vault.entries(EntryKind.PROFILE)
        then = one.next(NOBODY, events=vault.events(), entries=entries, now=NOW)
        assert then is not None and then.name != first.name
        names = names_about(entries, first.items[:1])
        assert vault.drop(EntryKind.PROFILE, names) == 1
        assert names_about(vault.entries(EntryKind.PROFILE), first.items) == ()


def test_the_same_choice_in_another_order_is_the_same_question() -> None:
    orders = (("zebra", "yak"), ("yak", "zebra"))
    one, other = (Question(kind=Ask.CHOICE, items=items) for items in orders)
    assert one.name == other.name
    assert "zebra" not in repr(one)


def test_entries_that_are_no_answers_are_left_out() -> None:
    broken: dict[str, Value] = {
        "client asked: like x": {"kind": "like"},
        "client asked: like y": [1],
        "client asked: like z": None,
        "other": {"kind": "like"},
    }
    assert asked(broken) == ()


def test_scores_of_another_catalogue_are_refused() -> None:
    with pytest.raises(InputError, match=f"scores of {ITEMS} items"):
        asker().next(np.zeros(3), events=[], entries={}, now=NOW)


@pytest.mark.parametrize(
    "rules", [{"least_worth": 2.0}, {"effort": 0.5}, {"most_known": 0.0}, {"pool": -1}]
)
def test_rules_out_of_range_are_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="Expected"):
        AskRules(**rules)


def test_of_a_catalogue_that_says_nothing_of_its_items_nothing_is_asked() -> None:
    bare = Catalogue(item_ids=("a", "b"))
    categories = Categories.of(bare)
    one = Asker(
        catalogue=bare,
        categories=categories,
        taste=Taste.of(bare, categories),
        weighting=Weighting(),
    )
    assert one.next(np.zeros(2), events=[], entries={}, now=NOW) is None
