from pathlib import Path
from typing import Any

import pytest
from tests.client.learning.world import CATALOGUE, CATEGORIES, DAY, NOW, liked
from tests.client.learning.world import made as recommender
from tests.client.vault.world import made, opened

from privet.client.learning.situation import Mode, Situation
from privet.client.profile.contexts import CONTEXTS, contexts_at
from privet.client.profile.profile import Profile, profile_of
from privet.client.profile.questions import WISH, Answer, Ask, Question, answered
from privet.client.profile.sensitive import Sensitive
from privet.client.profile.topics import (
    edit_name,
    edits,
    remove_topic,
    set_topic,
    show_inferred,
    wishes,
)
from privet.client.profile.wording import ENGLISH, KEYS, ProfileWording, say_profile, say_question
from privet.client.ranking.explain import Basis, Reason
from privet.client.vault.event import Entry, EntryKind, Event, Value
from privet.client.vault.history import Weighting
from privet.models.catalogue import Catalogue
from privet.privacy.errors import InputError

EVENING = 1_700_000_000 - 1_700_000_000 % DAY + 19 * 3600


def view(events: list[Event], *entries: Entry, **more: Any) -> Profile:
    return profile_of(
        events, kept(*entries), catalogue=CATALOGUE, categories=CATEGORIES,
        weighting=Weighting(), now=NOW + DAY, **more)  # fmt: skip


def kept(*entries: Entry) -> dict[str, Value]:
    return {entry.name: entry.value for entry in entries}


def topics(profile: Profile) -> dict[str, tuple[float, Basis]]:
    return {topic.name: (round(topic.weight, 3), topic.basis) for topic in profile.topics}


def asked_category(answer: Answer, *, at: int = NOW) -> Entry:
    question = Question(kind=Ask.CATEGORY, category="Comedy")
    return answered(question, answer, time=at).entries[0]


def viewed(count: int) -> list[Event]:
    return liked(*range(0, 2 * count, 2), kind="view")


def test_what_was_done_is_inferred_and_what_was_said_is_told() -> None:
    found = view([*viewed(5), *liked(11)], set_topic("War", -0.4, time=NOW))
    assert topics(found)["Comedy"][1] is Basis.INFERRED and topics(found)["Comedy"][0] > 0
    assert topics(found)["War"] == (-0.4, Basis.TOLD)
    bases = {liking.item: liking.basis for liking in found.liked}
    assert bases["item 11"] is Basis.TOLD
    assert {bases[f"item {n}"] for n in range(0, 10, 2)} == {Basis.INFERRED}
    disliked = view(liked(3, kind="dislike")).disliked
    assert [(one.item, one.weight, one.basis) for one in disliked] == [("item 3", -1, Basis.TOLD)]


def test_an_edit_beats_what_is_inferred_and_survives_a_restart(tmp_path: Path) -> None:
    events = viewed(8)
    assert topics(view(events))["Comedy"][0] > 0
    with made(tmp_path / "store.db") as vault:
        vault.record(*events)
        vault.put(set_topic("Comedy", -1.0, time=NOW), remove_topic("War", time=NOW))
    with opened(tmp_path / "store.db") as vault:
        entries = vault.entries(EntryKind.PROFILE)
        found = topics(view(list(vault.events()), *(
            Entry(kind=EntryKind.PROFILE, name=n, value=v) for n, v in entries.items())))  # fmt: skip
        assert found["Comedy"] == (-1.0, Basis.TOLD) and "War" not in found
        assert wishes(vault.events(), entries) == {"Comedy": -1.0, "War": 0.0}
        vault.drop(EntryKind.PROFILE, [edit_name("Comedy")])
        assert wishes(vault.events(), vault.entries(EntryKind.PROFILE)) == {"War": 0.0}


def test_an_edit_moves_the_ranking_and_feedback_does_not_undo_a_lock() -> None:
    one = recommender()
    more = [Event(kind="more", time=NOW - n, context={"topic": "Comedy"}) for n in range(3)]
    edit = set_topic("Comedy", -0.5, time=NOW - 10, locked=True)
    one.reset(more, topics=wishes(more, kept(edit)))
    (term,) = one.scores(Mode.PERSONAL, Situation(now=NOW)).terms(0)
    assert (term.reason, term.basis, term.topic) == (Reason.TOPIC, Basis.TOLD, "Comedy")
    assert term.value < 0
    free = set_topic("Comedy", -0.5, time=NOW - 10)
    assert wishes(more, kept(free)) == {"Comedy": 1.0}
    before = set_topic("Comedy", -0.5, time=NOW + 1)
    assert wishes(more, kept(before)) == {"Comedy": -0.5}


def test_the_profile_shows_of_a_topic_what_the_recommender_counts() -> None:
    events = [Event(kind="less", time=NOW, context={"topic": "War"}, value=0.25)]
    events += [Event(kind="review", item="item 1", time=NOW, value=0.5,
                     context={"aspects": {"Comedy": 0.5, "plot": -1.0}})]  # fmt: skip
    one = recommender()
    one.reset(events, topics=wishes(events, {}))
    scored = one.scores(Mode.PERSONAL, Situation(now=NOW))
    found = topics(view(events))
    assert found["War"] == (-0.25, Basis.TOLD)
    assert found["Comedy"] == (0.5 * WISH, Basis.TOLD)
    assert found["plot"] == (-WISH, Basis.TOLD)
    values = {t.topic: t.value for item in (0, 1) for t in scored.terms(item) if t.topic}
    assert values["War"] == pytest.approx(0.5 * 3 * -0.25)  # half of the item is war
    assert values["Comedy"] == pytest.approx(3 * 0.5 * WISH)


@pytest.mark.parametrize(
    ("answer", "weight"), [(Answer.MORE, WISH), (Answer.LESS, -WISH), (Answer.SAME, 0.0)]
)
def test_an_answer_is_told_and_moves_what_was_set_before_it_unless_locked(
    answer: Answer, weight: float
) -> None:
    put = asked_category(answer)
    assert wishes([], kept(put)) == {"Comedy": weight}
    assert wishes([], kept(put, set_topic("Comedy", 0.9, time=NOW - 1))) == {"Comedy": weight}
    assert wishes([], kept(put, set_topic("Comedy", 0.9, time=NOW + 1))) == {"Comedy": 0.9}
    locked = set_topic("Comedy", 0.9, time=NOW - 1, locked=True)
    assert wishes([], kept(put, locked)) == {"Comedy": 0.9}
    assert [topic.locked for topic in view([], put, locked).topics] == [True]


def test_a_skip_wishes_nothing() -> None:
    assert wishes([], kept(asked_category(Answer.SKIP))) == {}
    assert [put.answer for put in view([], asked_category(Answer.SKIP)).answers] == ["skip"]


def test_what_was_told_of_a_context_counts_in_it_alone() -> None:
    question = Question(kind=Ask.CONTEXT, category="War", context="evening")
    (entry,) = answered(question, Answer.MORE, time=NOW).entries
    assert wishes([], kept(entry), now=EVENING) == {"War": WISH}
    assert wishes([], kept(entry), now=EVENING + 12 * 3600) == {"War": 0.0}
    assert wishes([], kept(entry), now=EVENING, utc_offset_s=7 * 3600) == {"War": 0.0}
    (custom,) = view([], entry).customs
    assert (custom.context, custom.topic, custom.basis) == ("evening", "War", Basis.TOLD)
    assert say_question(question, CATALOGUE) == "Do you want more or less War in the evening?"


def habits() -> list[Event]:
    war = [Event(kind="view", item=f"item {2 * n + 1}", time=EVENING - n * DAY) for n in range(10)]
    rest = [Event(kind="view", item="item 0", time=EVENING - n * DAY - 8 * 3600) for n in range(30)]
    return [*war, *rest]


def test_habits_are_inferred_by_context() -> None:
    found = {(c.context, c.topic): c for c in view(habits()).customs}
    assert found["evening", "War"].weight > 0 > found["evening", "Comedy"].weight
    assert {custom.basis for custom in found.values()} == {Basis.INFERRED}


def test_hiding_what_is_inferred_hides_all_of_it_and_nothing_that_was_told() -> None:
    events = [*habits(), *liked(11)]
    hidden = view(events, show_inferred(False), set_topic("War", 0.1, time=NOW))
    assert {topic.basis for topic in hidden.topics} == {Basis.TOLD} and not hidden.customs
    assert [one.item for one in hidden.liked] == ["item 11"] and not hidden.shows_inferred
    assert say_profile(hidden, CATALOGUE)[-1] == "what was inferred is hidden"
    assert view(events, show_inferred(True)) == view(events)


def test_nothing_sensitive_is_inferred_and_without_the_policy_it_would_be() -> None:
    policy = Sensitive(words=frozenset({"comedies"}))
    names = {t.name for t in view(viewed(8), sensitive=policy).topics}
    assert "Comedy" not in names | {c.topic for c in view(habits(), sensitive=policy).customs}
    assert "Comedy" in topics(view(viewed(8)))
    told = set_topic("Comedy", 0.5, time=NOW)
    assert topics(view(viewed(8), told, sensitive=policy))["Comedy"] == (0.5, Basis.TOLD)


def test_the_profile_in_words_says_what_is_told_and_what_is_inferred() -> None:
    edit = set_topic("War", -0.4, time=NOW, locked=True)
    lines = say_profile(view([*viewed(5), *liked(11)], edit), CATALOGUE)
    assert "War: you want less of it (40 %) (locked)" in lines
    assert any(line.startswith("Comedy: we infer that you like it") for line in lines)
    assert "odd word11: you told us that you like it" in lines
    assert "even word0: we infer that it interests you" in lines
    assert say_profile(view([]), CATALOGUE) == ("nothing yet",)
    nameless = say_profile(view(liked(11)), Catalogue(item_ids=CATALOGUE.item_ids))
    assert nameless[-1].startswith("item 11:")


def test_questions_are_said_with_titles() -> None:
    like = Question(kind=Ask.LIKE, items=("item 0",))
    choice = Question(kind=Ask.CHOICE, items=("item 0", "gone"))
    assert say_question(like, CATALOGUE) == "Do you like even word0?"
    assert say_question(choice, CATALOGUE) == "Which of these do you like: even word0 or gone?"


def test_a_language_needs_every_template_and_known_fields() -> None:
    with pytest.raises(InputError, match="missing or unknown: nothing"):
        ProfileWording(templates={key: "x" for key in KEYS - {"nothing"}})
    with pytest.raises(InputError, match="'nothing'"):
        ProfileWording(templates={**ENGLISH.templates, "nothing": "{secret}"})


def test_edits_out_of_range_are_refused_and_damaged_ones_left_out() -> None:
    for name, weight in (("", 0.5), ("War", 1.5), ("War", float("nan"))):
        with pytest.raises(InputError, match="name and a weight"):
            set_topic(name, weight, time=NOW)
    with pytest.raises(InputError, match="name"):
        remove_topic("", time=NOW)
    assert edits({edit_name("War"): {"weight": 0.5}, edit_name("x"): [1], "y": {}}) == {}


def test_every_moment_is_in_one_part_of_the_day_and_one_kind_of_day() -> None:
    for hour in range(24 * 7):
        found = contexts_at(NOW + 3600 * hour, utc_offset_s=3600)
        assert len(found) == 2 and found <= set(CONTEXTS)
    assert contexts_at(EVENING, utc_offset_s=0) >= {"evening"}


def test_a_profile_shows_nothing_in_its_representation() -> None:
    found = view([*habits(), *liked(11)], set_topic("War", 0.4, time=NOW))
    parts = (found, *found.topics, *found.liked, *found.customs)
    assert len(parts) > 4
    assert not any(word in repr(part) for part in parts for word in ("War", "item", "0.4"))
