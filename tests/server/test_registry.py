"""The model registry: what is in force follows from the record, and bytes are those published."""

import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from privet.models.model import SharedState, state_hash
from privet.privacy.errors import InputError, IntegrityError, PrivacyError
from privet.server.registry import Origin, Registry, Rollout

ORIGIN = Origin(
    model="popularity",
    run="run-1",
    plan_hash="1" * 64,
    catalogue_hash="2" * 64,
    ledger_length=5,
    ledger_head="3" * 64,
    private=True,
)
IDENTITIES = [number.to_bytes(32, "big") for number in range(2000)]


def state(seed: int) -> SharedState:
    return {"scores": np.random.default_rng(seed).normal(size=7), "head": np.arange(3)}


def origin(position: int) -> Origin:
    return replace(ORIGIN, ledger_length=position)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    made = Registry(tmp_path / "registry.db", create=True)
    for number in (1, 2, 3):
        made.publish(state(number), origin(number))
    yield made
    made.close()


def share(registry: Registry, version: int) -> float:
    return sum(registry.version_for(i) == version for i in IDENTITIES) / len(IDENTITIES)


def in_force(registry: Registry) -> Rollout:
    """What is in force, wherever in the record that was decided."""
    return replace(registry.rollout, decision=0, rolled_back=0)


def test_a_published_model_reaches_nobody_before_it_is_rolled_out(registry: Registry) -> None:
    assert in_force(registry) == Rollout()
    assert all(registry.version_for(identity) is None for identity in IDENTITIES[:50])


def test_publishing_the_same_model_again_changes_nothing(registry: Registry) -> None:
    before = registry.entries
    assert registry.publish(state(2), origin(2)).version == 2
    assert registry.entries == before
    assert registry.publish(state(2), origin(9)).version == 4  # another run may find the same


def test_a_rollout_reaches_its_share_and_keeps_whom_it_reached(registry: Registry) -> None:
    registry.roll_out(1, 1000)
    reached: set[bytes] = set()
    for permille in (100, 400, 1000):
        registry.roll_out(2, permille)
        now = {i for i in IDENTITIES if registry.version_for(i) == 2}
        assert reached <= now
        assert abs(len(now) / len(IDENTITIES) - permille / 1000) < 0.05
        reached = now
    assert in_force(registry) == Rollout(stable=2)


def test_other_models_are_tried_on_other_devices(registry: Registry) -> None:
    registry.roll_out(1, 1000)
    chosen = []
    for version in (2, 3):
        registry.roll_out(version, 200)
        chosen.append({i for i in IDENTITIES if registry.version_for(i) == version})
    assert len(chosen[0] & chosen[1]) < 0.1 * len(IDENTITIES)


def test_rolling_back_ends_a_candidate_and_then_goes_further_back(registry: Registry) -> None:
    registry.roll_out(1, 1000)
    registry.roll_out(2, 1000)
    registry.roll_out(3, 100)
    assert registry.roll_back() == 2
    assert share(registry, 2) == 1.0
    assert registry.roll_back() == 1
    assert share(registry, 1) == 1.0
    assert registry.roll_back(2) == 2


def test_a_first_candidate_can_be_taken_back(registry: Registry) -> None:
    registry.roll_out(1, 100)
    assert registry.roll_back() is None
    assert in_force(registry) == Rollout()


def test_what_was_never_rolled_out_cannot_be_gone_back_to(registry: Registry) -> None:
    with pytest.raises(InputError, match="no earlier model"):
        registry.roll_back()
    registry.roll_out(1, 1000)
    for version in (None, 2):
        with pytest.raises(InputError, match="no earlier model"):
            registry.roll_back(version)
    assert in_force(registry) == Rollout(stable=1)


@pytest.mark.parametrize("permille", [0, -1, 1001, True, 0.5])
def test_shares_that_are_none_are_refused(registry: Registry, permille: int) -> None:
    with pytest.raises(InputError, match="thousandths"):
        registry.roll_out(1, permille)


def test_a_model_that_promises_nothing_is_not_rolled_out(registry: Registry) -> None:
    made = registry.publish(state(4), replace(ORIGIN, private=False))
    with pytest.raises(PrivacyError, match="NOT PRIVATE"):
        registry.roll_out(made.version, 10)


def test_unknown_versions_are_refused(registry: Registry) -> None:
    for act in (lambda: registry.roll_out(9, 10), lambda: registry.state(9)):
        with pytest.raises(InputError, match="no model 9"):
            act()


def test_everything_is_there_after_a_restart(registry: Registry, tmp_path: Path) -> None:
    registry.roll_out(2, 300)
    again = Registry(tmp_path / "registry.db")
    assert again.rollout == registry.rollout and again.versions == registry.versions
    assert state_hash(again.state(3)) == state_hash(state(3)) == again.versions[2].state_hash
    again.close()


def test_two_operators_see_each_others_changes(registry: Registry, tmp_path: Path) -> None:
    other = Registry(tmp_path / "registry.db")
    registry.roll_out(1, 1000)
    other.roll_out(2, 1000)
    assert other.roll_back() == 1
    with pytest.raises(InputError, match="no earlier model"):
        registry.roll_back()
    other.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE state SET data = substr(data, 1, 40) WHERE version = 1",
        "DELETE FROM state WHERE version = 1",
        "UPDATE state SET data = (SELECT data FROM state WHERE version = 2) WHERE version = 1",
    ],
)
def test_a_models_bytes_are_those_that_were_published(
    registry: Registry, tmp_path: Path, change: str
) -> None:
    with sqlite3.connect(tmp_path / "registry.db") as db:
        db.execute(change)
    with pytest.raises(IntegrityError, match="model 1"):
        registry.state(1)


def test_a_changed_or_cut_record_is_refused(registry: Registry, tmp_path: Path) -> None:
    registry.roll_out(2, 1000)
    with sqlite3.connect(tmp_path / "registry.db") as db:
        db.execute("DELETE FROM ledger WHERE seq = 4")
    with pytest.raises(IntegrityError):
        Registry(tmp_path / "registry.db")


def test_a_registry_is_made_once_and_not_by_accident(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing"):
        Registry(tmp_path / "registry.db")
    Registry(tmp_path / "registry.db", create=True).close()
    with pytest.raises(InputError, match="already there"):
        Registry(tmp_path / "registry.db", create=True)


@given(st.lists(st.tuples(st.sampled_from([1, 2, 3]), st.integers(1, 1000)), max_size=6))
@hypothesis_settings(max_examples=25, deadline=None)
def test_every_device_gets_what_is_in_force(steps: list[tuple[int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        registry = Registry(Path(folder) / "registry.db", create=True)
        for number in (1, 2, 3):
            registry.publish(state(number), origin(number))
        for version, permille in steps:
            registry.roll_out(version, permille)
        allowed = {registry.rollout.stable, registry.rollout.candidate}
        assert {registry.version_for(i) for i in IDENTITIES[:20]} <= allowed
        registry.close()
