"""Catalogue, cohort and plan: what they promise and what they refuse."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privet.models.catalogue import Catalogue
from privet.models.cohort import Cohort
from privet.models.model import state_hash
from privet.models.plan import Plan, PublicFacts
from privet.models.planning import make_plan
from privet.models.popularity import Popularity
from privet.models.spectral import Spectral
from privet.models.testing import stack
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import InputError
from privet.privacy.minimization.messages import HEADER_BYTES

CATALOGUE = Catalogue(item_ids=("a", "b"), titles=("A", "B"), years=(1999, 0))


def test_a_catalogue_knows_its_items_and_no_others() -> None:
    assert len(CATALOGUE) == 2
    assert [CATALOGUE.index(i) for i in ("a", "b", "c")] == [0, 1, None]


def test_a_catalogues_hash_covers_everything_in_it() -> None:
    changes = [
        replace(CATALOGUE, item_ids=("a", "c")),
        replace(CATALOGUE, titles=("A", "C")),
        replace(CATALOGUE, years=(1999, 1)),
        replace(CATALOGUE, categories=(("x",), ())),
        replace(CATALOGUE, categories=((), ("x",))),
        replace(CATALOGUE, declared_public=False),
    ]
    assert len({CATALOGUE.hash, *(c.hash for c in changes)}) == 7
    assert replace(CATALOGUE).hash == CATALOGUE.hash


def test_a_catalogue_that_is_empty_ambiguous_or_uneven_is_refused() -> None:
    with pytest.raises(InputError, match="empty"):
        Catalogue(item_ids=())
    with pytest.raises(InputError, match="distinct"):
        Catalogue(item_ids=("a", "a"))
    with pytest.raises(InputError, match="titles"):
        Catalogue(item_ids=("a", "b"), titles=("A",))


events = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 6), st.floats(0.1, 9), st.integers(0, 99)),
    max_size=30,
)


@given(events=events)
def test_a_cohort_keeps_the_last_event_of_each_pair(
    events: list[tuple[int, int, float, int]],
) -> None:
    users, items, weights, times = zip(*events, strict=True) if events else ((), (), (), ())
    cohort = Cohort.from_pairs(
        np.array(users, np.int64),
        np.array(items, np.int64),
        n_users=5,
        n_items=7,
        weights=np.array(weights),
        times=np.array(times, np.int64),
    )
    expected: dict[tuple[int, int], tuple[float, int]] = {}
    for user, item, weight, time in events:
        if (user, item) not in expected or time >= expected[user, item][1]:
            expected[user, item] = (weight, time)
    keys = zip(cohort.rows.tolist(), cohort.items.tolist(), strict=True)
    found = dict(
        zip(keys, zip(cohort.weights.tolist(), cohort.times.tolist(), strict=True), strict=True)
    )
    assert found == expected
    assert cohort.dense().sum() == len(expected)


@given(events=events, start=st.integers(0, 5), length=st.integers(0, 5))
def test_a_slice_is_the_same_devices_alone(
    events: list[tuple[int, int, float, int]], start: int, length: int
) -> None:
    rows: list[dict[int, float]] = [{} for _ in range(5)]
    for user, item, weight, _ in events:
        rows[user][item] = weight
    cohort, stop = stack(rows, 7), min(start + length, 5)
    part = cohort.slice(start, stop) if start < 5 else cohort.slice(5, 5)
    assert part.dense(binary=False).tolist() == cohort.dense(binary=False)[start:stop].tolist()
    assert part.devices.tolist() == list(range(start, max(stop, start)))[: len(part)]


@given(events=events, positions=st.permutations([-1, -1, 0, 1, 2, 3, 4]))
def test_keeping_items_renumbers_every_history(
    events: list[tuple[int, int, float, int]], positions: list[int]
) -> None:
    rows: list[dict[int, float]] = [{} for _ in range(5)]
    for user, item, weight, _ in events:
        rows[user][item] = weight
    kept = stack(rows, 7).keep_items(np.array(positions))
    expected = np.zeros((5, 5))
    for user, row in enumerate(rows):
        for item, weight in row.items():
            if positions[item] >= 0:
                expected[user, positions[item]] = weight
    assert kept.dense(binary=False).tolist() == expected.tolist()
    for i in range(5):  # sorted within a history, as contributions rely on
        assert (np.diff(kept.items[kept.indptr[i] : kept.indptr[i + 1]].tolist()) > 0).all()


def test_cohorts_whose_arrays_do_not_fit_are_refused() -> None:
    good = stack([{0: 1.0}, {1: 1.0}], 3)
    for change in (
        {"devices": np.arange(3)},
        {"weights": np.ones(3)},
        {"times": np.zeros(1, np.int64)},
        {"items": np.array([0, 3], np.int32)},
        {"items": np.array([-1, 0], np.int32)},
    ):
        with pytest.raises(InputError):
            replace(good, **change)


def plan(**changes: object) -> Plan:
    body = {
        "devices": 100,
        "items": 30,
        "epsilon": 1.0,
        "delta": 1e-5,
        "trust": Trust.CENTRAL,
        **changes,
    }
    return make_plan(Popularity(), PublicFacts(**body), catalogue_hash="0" * 64)  # type: ignore[arg-type]


def test_a_plans_hash_covers_every_public_constant() -> None:
    hashes = {
        plan().hash,
        plan(devices=101).hash,
        plan(items=31).hash,
        plan(epsilon=1.5).hash,
        plan(delta=1e-6).hash,
        plan(trust=Trust.SECURE_AGGREGATION).hash,
        plan(min_survivors=90).hash,
        plan(colluders=5).hash,
        replace(plan(), catalogue_hash="1" * 64).hash,
        replace(plan(), seeded_noise=True).hash,
        replace(plan(), parameters={"x": 1}).hash,
    }
    assert len(hashes) == 11
    assert plan().hash == plan().hash


def test_the_bytes_a_device_uploads_follow_from_the_plan_alone() -> None:
    assert plan().upload_bytes == HEADER_BYTES + 4 * 30
    facts = PublicFacts(devices=5000, items=300, epsilon=5.0, delta=1e-6, trust=Trust.CENTRAL)
    steps = Spectral().steps(facts)
    found = make_plan(Spectral(), facts, catalogue_hash="").upload_bytes
    assert found == sum(HEADER_BYTES + 4 * step.dimension for step in steps)


@pytest.mark.parametrize(("devices", "items"), [(1, 10), (10, 1), (0, 0)])
def test_a_federation_of_one_is_refused(devices: int, items: int) -> None:
    with pytest.raises(InputError, match="at least 2"):
        plan(devices=devices, items=items)


def test_a_states_hash_covers_names_types_shapes_and_values() -> None:
    one = {"a": np.zeros(4)}
    others = [
        {"b": np.zeros(4)},
        {"a": np.zeros(4, np.int64)},
        {"a": np.zeros((2, 2))},
        {"a": np.array([0, 0, 0, 1.0])},
        {"a": np.zeros(4), "b": np.zeros(0)},
        {},
    ]
    assert len({state_hash(s) for s in [one, *others]}) == 7  # type: ignore[arg-type]
    assert state_hash({"a": np.asfortranarray(np.eye(2))}) == state_hash({"a": np.eye(2)})
