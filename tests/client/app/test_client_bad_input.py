"""Whatever an app or a disk does to the client, there is a clear outcome and nothing is lost."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.client.app.world import KEY, NOW, Clock, bytes_of, consenting, opened, topic_of

from privet.client.client import Client
from privet.client.policy import Policy
from privet.client.results import Kept
from privet.client.vault.event import MAX_TEXT_BYTES
from privet.client.vault.key_source import Passphrase
from privet.client.vault.vault_file import SCHEMA_VERSION
from privet.privacy.errors import InputError, IntegrityError


def filled(path: Path) -> None:
    with consenting(path) as client:
        client.record("like", "tt0001")


def still_there(path: Path) -> None:
    with opened(path) as client:
        assert topic_of(client.recommend(1)[0].item) == "Horror"


def test_no_key_and_another_kind_of_key_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Expected a key"):
        opened(tmp_path / "none.db", key=None)
    assert list(tmp_path.iterdir()) == []
    filled(tmp_path / "me.db")
    with pytest.raises(InputError, match="opened by: host"):
        opened(tmp_path / "me.db", key=Passphrase("something else"))
    still_there(tmp_path / "me.db")


def test_no_store_is_made_where_the_app_says_that_there_is_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No device's store"):
        opened(tmp_path / "me.db", create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_corrupted_file_is_noticed_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "me.db"
    filled(path)
    whole = path.read_bytes()
    for at in range(0, len(whole), len(whole) // 40):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        changed = path.read_bytes()
        try:
            with opened(path) as client:
                client.recommend(3)
                client.record("like", "tt0002")
        except (InputError, IntegrityError):
            continue
        assert changed != whole
    path.write_bytes(whole)
    for name in tmp_path.glob("me.db-*"):
        name.unlink()
    still_there(path)


def test_a_cut_off_file_and_a_foreign_one_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "me.db"
    filled(path)
    whole = path.read_bytes()
    for wrong in (whole[:4096], whole[: len(whole) // 2], b"not a database, but long enough" * 50):
        path.write_bytes(wrong)
        with pytest.raises((InputError, IntegrityError)):
            opened(path).recommend(1)
        assert path.read_bytes() == wrong
    path.write_bytes(whole)
    still_there(path)


def test_a_store_of_a_newer_version_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "me.db"
    filled(path)
    _version(path, SCHEMA_VERSION + 1)
    before = bytes_of(tmp_path)
    with pytest.raises(InputError, match=f"of version {SCHEMA_VERSION + 1}"):
        opened(path)
    assert bytes_of(tmp_path) == before
    _version(path, SCHEMA_VERSION)
    still_there(path)


def _version(path: Path, version: int) -> None:
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version={version}").close()
    db.close()


@pytest.mark.parametrize(
    "item", ["😀👩‍👩‍👧", "a\0b", "é", " ", "'; DROP TABLE event; --", "x" * MAX_TEXT_BYTES]
)
def test_any_text_is_an_identifier(tmp_path: Path, item: str) -> None:
    with consenting(tmp_path / "me.db") as client:
        assert client.record("like", item) is Kept.UNKNOWN_ITEM
        assert client.record_impressions([item]) is Kept.UNKNOWN_ITEM
        client.export(tmp_path / "held.csv")
        assert client.erase(items=[item]).store.events == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": ""}, "kind"),
        ({"kind": 3}, "kind"),
        ({"item": "x" * (MAX_TEXT_BYTES + 1)}, "at most"),
        ({"item": "\ud800"}, "whole Unicode"),
        ({"item": None}, "text"),
        ({"value": float("nan")}, "finite"),
        ({"value": "5"}, "finite"),
        ({"time": -1}, "Unix seconds"),
        ({"time": 1.5}, "Unix seconds"),
        ({"context": {"x": object()}}, "JSON"),
        ({"context": ["x"]}, "mapping"),
    ],
)
def test_what_cannot_be_kept_is_refused_whether_or_not_anything_was_agreed_to(
    tmp_path: Path, given: dict[str, Any], said: str
) -> None:
    event = {"kind": "like", "item": "tt0001"} | given
    for make in (opened, consenting):
        with make(tmp_path / "me.db") as client:
            with pytest.raises(InputError, match=said):
                client.record(**event)
            assert client.erase(all=True).store.events == 0


def test_a_bad_request_is_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    with consenting(tmp_path / "me.db") as client:
        client.record("like", "tt0001")
        client.feedback("hide", item="tt0005")
        calls: list[Callable[[], object]] = [
            lambda: client.recommend(-1),
            lambda: client.recommend(mode="best"),
            lambda: client.recommend(diversity=1.5),
            lambda: client.recommend(diversity=float("nan")),
            lambda: client.recommend(query="x" * 100_000),
            lambda: client.recommend(context={"utc_offset_s": 10**6}),
            lambda: client.search("x" * 100_000),
            lambda: client.search("x", -1),
            lambda: client.similar("nobody"),
            lambda: client.similar("tt0001", -1),
            lambda: client.edit_profile("Horror"),
            lambda: client.edit_profile("Horror", weight=2.0),
            lambda: client.edit_profile(inferred=True, undo=True),
            lambda: client.edit_profile(weight=0.5),
            lambda: client.opt_out("nothing"),
            lambda: client.explain("nobody"),
            lambda: client.feedback("love", item="tt0001"),
            lambda: client.feedback("hide", topic="Horror"),
            lambda: client.feedback("block topic", item="tt0001"),
            lambda: client.feedback("more"),
            lambda: client.feedback("more", item="tt0001", topic="Horror"),
            lambda: client.erase(),
            lambda: client.erase(all=True, before=3),
            lambda: client.erase(items="tt0001"),
            lambda: client.erase(items=["tt0001"], all=True),
            lambda: client.export("nowhere/x.json"),
            lambda: client.export("x.pdf"),
            lambda: client.consent.grant("everything"),
        ]
        for call in calls:
            client.record_impressions(["tt0002"])
            with pytest.raises(InputError):
                call()
        client.flush()
        assert client.erase(all=True).store.events == 1 + len(calls)


def test_a_clock_that_goes_back_or_stands_before_1970_loses_nothing(tmp_path: Path) -> None:
    clock = Clock()
    with consenting(tmp_path / "me.db", clock=clock) as client:
        client.record("like", "tt0001")
        for now in (NOW - 10**8, 0.0, -5.0):
            clock.now = now
            assert client.record("view", "tt0002") is Kept.KEPT
            assert client.recommend(3) and client.search("laughs").hits
        clock.now = NOW
        assert client.erase(all=True).store.events == 4


def test_a_catalogue_that_cannot_be_hashed_is_used_without_a_kept_file(tmp_path: Path) -> None:
    from privet.models.catalogue import Catalogue

    strange = Catalogue(item_ids=("\ud800", "b"), titles=("laughs", "laughs"))
    with opened(tmp_path / "me.db", catalogue=strange) as client:
        assert [hit.item for hit in client.similar("b")] == ["\ud800"]
    assert not (tmp_path / "me.db.features").exists()


def test_a_closed_client_says_so(tmp_path: Path) -> None:
    client = consenting(tmp_path / "me.db")
    client.record("like", "tt0001")
    client.close()
    client.close()
    calls: list[Callable[[], object]] = [
        lambda: client.record("like", "tt0002"),
        lambda: client.recommend(3),
        lambda: client.erase(all=True),
    ]
    for call in calls:
        with pytest.raises(InputError, match="closed"):
            call()
    still_there(tmp_path / "me.db")


def test_others_may_not_read_a_store(tmp_path: Path) -> None:
    filled(tmp_path / "me.db")
    (tmp_path / "me.db").chmod(0o644)
    with pytest.raises(InputError, match="chmod 600"):
        Client.open(
            tmp_path / "me.db",
            catalogue=opened(tmp_path / "b.db")._parts.features.catalogue,
            key=KEY,
        )


POLICY = """
keep_features = false
[retention]
max_age_seconds = 100
max_events = 5
[weighting]
half_life_seconds = 86400.0
[weighting.kinds]
like = 1.0
[lists]
diversity = 0.3
blocked = ["Horror"]
pool = 50
[lists.caps]
Comedy = 1
[hashing]
columns = 1024
seed = "mine"
"""


def test_a_policy_is_read_from_toml_and_followed(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(POLICY)
    policy = Policy.from_toml(tmp_path / "policy.toml")
    assert policy.retention.max_events == 5 and policy.hashing.columns == 1024
    with consenting(tmp_path / "me.db", policy=policy) as client:
        client.record("like", "tt0000")
        topics = [topic_of(r.item) for r in client.recommend(10)]
        assert "Horror" not in topics and topics.count("Comedy") == 1
    assert not (tmp_path / "me.db.features").exists()


@pytest.mark.parametrize(
    "text",
    [
        "retention = 3",
        "unknown = 3",
        "[retention]\nmax_age_seconds = -1",
        '[retention]\nmax_age_seconds = "long"',
        "[retention]\nmax_days = 3",
        "[lists]\nblocked = 3",
        "[lists]\ndiversity = 2.0",
        "[lists]\nhidden = ['a']",
        '[weighting]\nhalf_life_seconds = "x"',
        "[weighting]\nkinds = 3",
        "[hashing]\ncolumns = 1",
        "not toml",
        "\ud800",
    ],
)
def test_a_policy_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "policy.toml").write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(InputError):
        Policy.from_toml(tmp_path / "policy.toml")
    with pytest.raises(InputError, match="cannot be read"):
        Policy.from_toml(tmp_path / "nothing.toml")
