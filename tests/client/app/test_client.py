"""What an app sees of the client: lists that follow what was recorded and said, and why."""

import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.client.app.world import CATALOGUE, NOW, TOPICS, Clock, consenting, opened, topic_of

from privet.client.client import Client
from privet.client.learning.situation import Mode
from privet.client.parts import Context
from privet.client.policy import Policy
from privet.client.ranking.explain import Basis, Reason
from privet.client.ranking.rerank import ListRules
from privet.client.results import Kept
from privet.client.vault.receipt import Retention
from privet.privacy.errors import InputError

ITEMS = st.integers(0, 39).map(lambda n: f"tt{n:04d}")
KINDS = st.sampled_from(["view", "like", "dislike", "rate", "skip", "finish", "more", "less"])


def shown(client: Client, k: int = 10, **options: object) -> list[str]:
    return [r.item for r in client.recommend(k, **options)]  # type: ignore[arg-type]


def test_two_likes_bring_recommendations_of_their_topic(tmp_path: Path) -> None:
    with consenting(tmp_path / "me.db") as client:
        for item in ("tt0001", "tt0005"):
            assert client.record("like", item) is Kept.KEPT
        found = client.recommend(5)
        assert {topic_of(r.item) for r in found} == {"Horror"}
        assert {"tt0001", "tt0005"}.isdisjoint(r.item for r in found)
        why = client.explain(found[0])
        assert "you told us that you like" in why.text
        assert {because.item for because in why.reasons} <= {"tt0001", "tt0005", ""}


def test_what_was_recorded_is_there_after_opening_again(tmp_path: Path) -> None:
    with consenting(tmp_path / "me.db") as client:
        client.record("like", "tt0001")
        client.feedback("block topic", topic="Space")
        before = client.recommend(10)
    with opened(tmp_path / "me.db") as client:
        assert client.recommend(10) == before


def test_nothing_is_recorded_and_nothing_personal_shown_without_consent(tmp_path: Path) -> None:
    with opened(tmp_path / "me.db") as client:
        assert client.record("like", "tt0001") is Kept.NOT_CONSENTED
        assert client.feedback("more", topic="Horror") is Kept.NOT_CONSENTED
        assert client.record_impressions(["tt0001"]) is Kept.NOT_CONSENTED
        nobody = client.recommend(10)
        assert {r.mode for r in nobody} == {Mode.POPULAR}
        client.consent.grant("personalize")
        assert client.recommend(10, mode="popular") == nobody
        client.record("like", "tt0001")
        assert client.recommend(10)[0].mode is Mode.PERSONAL
        client.consent.withdraw("personalize")
        again = client.recommend(10)
        assert again == nobody
        assert {r.mode for r in again} == {Mode.POPULAR}
        assert client.search("from the 80s", 3) == client.search("from the 80s", 3)
        assert client.explain(again[0]).reasons == ()


def test_hidden_items_and_blocked_topics_are_in_no_list_in_any_mode(tmp_path: Path) -> None:
    with consenting(tmp_path / "me.db") as client:
        client.record("like", "tt0001")
        client.feedback("hide", item="tt0005")
        client.feedback("block topic", topic="Space")
        for mode in Mode:
            items = shown(client, 40, mode=mode)
            assert "tt0005" not in items and "Space" not in {topic_of(i) for i in items}
        client.consent.withdraw("personalize")
        assert "tt0005" not in shown(client, 40)
        client.feedback("show", item="tt0005")
        client.feedback("allow topic", topic="Space")
        items = shown(client, 40)
        assert "tt0005" in items and "Space" in {topic_of(i) for i in items}


def test_a_topic_comes_first_when_the_user_asks_for_more_of_it(tmp_path: Path) -> None:
    with consenting(tmp_path / "me.db") as client:
        client.record("like", "tt0001")
        client.feedback("more", topic="Western")
        found = client.recommend(5)
        assert {topic_of(r.item) for r in found} == {"Western"}
        because = client.explain(found[0]).reasons[0]
        assert (because.reason, because.basis) == (Reason.TOPIC, Basis.TOLD)
        client.feedback("less", topic="Western")
        assert {topic_of(i) for i in shown(client, 5)} == {"Horror"}


def test_seen_items_come_back_only_if_they_are_asked_for(tmp_path: Path) -> None:
    with consenting(tmp_path / "me.db") as client:
        client.record("like", "tt0001")
        assert "tt0001" not in shown(client, 40)
        assert "tt0001" in shown(client, 40, exclude_seen=False)
        assert "tt0001" in shown(client, 40, mode="popular")
        assert "tt0001" not in shown(client, 40, mode="popular", exclude_seen=True)


def test_a_query_filters_what_is_recommended(tmp_path: Path) -> None:
    with consenting(tmp_path / "me.db") as client:
        client.record("like", "tt0001")
        items = shown(client, 5, query="western, no duel, before 2000")
        assert items and {topic_of(i) for i in items} == {"Western"}
        assert all("duel" not in CATALOGUE.titles[int(i[2:])] and int(i[2:]) < 20 for i in items)
        assert shown(client, 5, query="xyzzy") == []


def test_a_search_ranks_by_the_query_and_says_what_it_understood(tmp_path: Path) -> None:
    with consenting(tmp_path / "me.db") as client:
        hits = client.search("ghosts, no crypt", 3)
        assert hits.hits and all("ghosts" in hit.title for hit in hits.hits)
        assert hits.understood == "wanted: ghosts; without: crypt"
        assert client.search("xyzzy").unknown == ("xyzzy",)


def test_similar_items_share_words_and_topic(tmp_path: Path) -> None:
    with opened(tmp_path / "me.db") as client:
        assert {topic_of(hit.item) for hit in client.similar("tt0002", 5)} == {"Western"}
        with pytest.raises(InputError, match="identifier"):
            client.similar("nobody")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(KINDS, ITEMS, st.none() | st.floats(-5, 5)), max_size=12),
    st.floats(0, 1),
    st.sampled_from(["", "no horror", "laughs"]),
    st.sampled_from(list(Mode)),
)
def test_explanations_add_up_to_what_an_item_was_chosen_by(
    tmp_path_factory: pytest.TempPathFactory,
    events: list[tuple[str, str, float | None]],
    diversity: float,
    query: str,
    mode: Mode,
) -> None:
    policy = Policy(lists=ListRules(calibration=0.3))
    with consenting(tmp_path_factory.mktemp("app") / "me.db", policy=policy) as client:
        for kind, item, value in events:
            client.record(kind, item, value=value, context={"device": "tv", "session": "s"})
        context: Context = {"device": "tv", "session": "s", "utc_offset_s": 3600}
        for found in client.recommend(
            5, context=context, query=query, mode=mode, diversity=diversity
        ):
            why = client.explain(found)
            assert why.score == found.score + found.delta
            total = math.fsum(because.value for because in why.reasons)
            scale = max(1.0, math.fsum(abs(because.value) for because in why.reasons))
            assert abs(total - why.score) <= 1e-6 * scale
            assert client.explain(found.item).item == found.item


def test_an_explanation_stays_that_of_its_list_whatever_is_learnt_later(tmp_path: Path) -> None:
    with consenting(tmp_path / "me.db") as client:
        client.record("like", "tt0001")
        found = client.recommend(3)[0]
        before = client.explain(found)
        client.record("dislike", "tt0001")
        assert client.explain(found) == before
        assert client.explain(found.item) != before


def test_two_clients_on_one_store_learn_from_each_other(tmp_path: Path) -> None:
    with consenting(tmp_path / "me.db") as one, opened(tmp_path / "me.db") as other:
        one.record("like", "tt0001")
        assert {topic_of(i) for i in shown(other, 5)} == {"Horror"}
        other.record("like", "tt0002")
        one.record("like", "tt0006")
        assert one.recommend(10) == other.recommend(10)
        other.erase(items=["tt0001"])
        assert {topic_of(i) for i in shown(one, 5)} == {"Western"}
        one.consent.withdraw("personalize")
        assert other.record("like", "tt0003") is Kept.NOT_CONSENTED


def test_impressions_wait_for_the_next_record_or_flush(tmp_path: Path) -> None:
    clock = Clock()
    with consenting(tmp_path / "me.db", clock=clock) as client:
        client.record_impressions(client.recommend(3))
        client.export(tmp_path / "one.json")
        assert (tmp_path / "one.json").read_text().count('"impression"') == 3
        client.record_impressions(["tt0001", "tt0002"])
        client.record("like", "tt0001")
    with opened(tmp_path / "me.db") as client:
        client.export(tmp_path / "two.json")
        assert (tmp_path / "two.json").read_text().count('"impression"') == 5


def test_what_waits_is_dropped_when_consent_is_taken_back(tmp_path: Path) -> None:
    with consenting(tmp_path / "me.db") as client:
        client.record_impressions(["tt0001"])
        client.consent.withdraw("personalize")
        client.flush()
        client.consent.grant("personalize")
        client.flush()
        assert client.erase(all=True).store.events == 0


def test_what_a_policy_no_longer_allows_is_erased_before_it_is_used(tmp_path: Path) -> None:
    clock = Clock()
    policy = Policy(retention=Retention(max_age_seconds=100))
    with consenting(tmp_path / "me.db", clock=clock, policy=policy) as client:
        client.record("like", "tt0001", time=NOW - 50)
        client.record("like", "tt0002", time=NOW)
        assert {"Horror", "Western"} <= {topic_of(i) for i in shown(client, 16)}
    clock.now += 80
    with opened(tmp_path / "me.db", clock=clock, policy=policy) as client:
        assert {topic_of(i) for i in shown(client, 5)} == {"Western"}
        client.export(tmp_path / "left.json")
    assert "tt0001" not in (tmp_path / "left.json").read_text()


def test_a_new_catalogue_counts_old_events_on_its_items(tmp_path: Path) -> None:
    from tests.client.app.world import catalogue

    with consenting(tmp_path / "me.db") as client:
        assert client.record("like", "tt0041") is Kept.UNKNOWN_ITEM
        assert set(TOPICS) == {topic_of(i) for i in shown(client, 40)}
    with opened(tmp_path / "me.db", catalogue=catalogue(44)) as client:
        assert {topic_of(i) for i in shown(client, 5)} == {"Horror"}


def test_nothing_of_the_user_is_in_a_representation_or_an_error(tmp_path: Path) -> None:
    with consenting(tmp_path / "me.db") as client:
        client.record("like", "tt0001", context={"session": "secret"})
        assert "tt0001" not in repr(client) and "secret" not in repr(client)
        errors = []
        for call in (
            lambda: client.similar("my-secret-item"),
            lambda: client.record("my-secret-kind", "x" * (1 << 21)),
            lambda: client.feedback("my-secret-word", item="x"),
            lambda: client.recommend(mode="my-secret-mode"),
            lambda: client.recommend(context={"utc_offset_s": "my-secret"}),
        ):
            with pytest.raises(InputError) as error:
                call()
            errors.append(str(error.value))
        assert not any("secret" in text for text in errors)


def test_the_profile_shows_what_was_told_and_inferred_and_follows_edits(tmp_path: Path) -> None:
    with consenting(tmp_path / "me.db") as client:
        for n in range(6):
            client.record("view", f"tt{4 * n + 1:04d}")
        client.record("like", "tt0002")
        found = client.profile()
        assert {(t.name, t.basis) for t in found.topics} >= {("Horror", Basis.INFERRED)}
        assert (found.liked[0].item, found.liked[0].basis) == ("tt0002", Basis.TOLD)
        client.edit_profile("Horror", remove=True)
        client.edit_profile("Space", weight=1.0, locked=True)
        topics = {topic.name: topic for topic in client.profile().topics}
        assert "Horror" not in topics and topics["Space"].locked
        assert {topic_of(i) for i in shown(client, 3)} == {"Space"}
        client.edit_profile("Space", undo=True)
        assert "Space" not in {topic_of(i) for i in shown(client, 3)}
        client.edit_profile(inferred=False)
        assert {topic.basis for topic in client.profile().topics} <= {Basis.TOLD}
        client.consent.withdraw("personalize")
        assert client.profile().liked == ()
        assert client.edit_profile("Comedy", weight=1.0) is Kept.NOT_CONSENTED


def test_a_question_is_asked_until_it_is_answered_and_never_again(tmp_path: Path) -> None:
    with opened(tmp_path / "me.db") as client:
        assert client.ask() is None
        client.consent.grant("personalize")
        asked: list[str] = []
        while (asking := client.ask()) is not None and len(asked) < 60:
            again = client.ask()
            assert again is not None and again.question.name == asking.question.name
            assert asking.question.name not in asked and asking.text not in repr(asking)
            asked.append(asking.question.name)
            assert client.answer(asking, asking.answers[len(asked) % 2 - 1]) is Kept.KEPT
        assert len(asked) >= 3
        assert client.recommend(5)[0].mode is Mode.PERSONAL


def test_a_review_counts_by_what_it_says_and_its_text_is_not_kept(tmp_path: Path) -> None:
    with consenting(tmp_path / "me.db") as client:
        assert client.review("tt0001", "I loved this, it was wonderful and great.") is Kept.KEPT
        assert {topic_of(i) for i in shown(client, 3)} == {"Horror"}
        client.review("tt0001", "Terrible and boring. I hated it.")
        assert "Horror" not in {topic_of(i) for i in shown(client, 3)}
        client.export(tmp_path / "mine.json")
    assert "wonderful" not in (tmp_path / "mine.json").read_text()


def test_the_main_parameters_are_those_of_the_users_own_lists(tmp_path: Path) -> None:
    with consenting(tmp_path / "me.db") as client:
        client.record("like", "tt0001")
        client.feedback("block topic", topic="Space")
        said = " ".join(client.main_parameters())
        assert "what you said that you like" in said and "Never shown: Space" in said
        client.opt_out("personalize")
        assert client.has_opted_out("personalize")
        assert "follows from no profile" in client.main_parameters()[0]
