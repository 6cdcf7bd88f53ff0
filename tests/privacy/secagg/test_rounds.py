"""Whole rounds: exact sums whoever drops out and when, or nothing at all."""

import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.privacy.secagg.world import CERTIFIER, SERVER_KEY, cohort, run_until, terms, vectors

from privet.privacy.errors import (
    BudgetError,
    InputError,
    IntegrityError,
    PrivacyError,
    PrivetError,
)
from privet.privacy.secagg import primitives, shamir
from privet.privacy.secagg.client import Client, Stage
from privet.privacy.secagg.device_messages import Masked
from privet.privacy.secagg.primitives import SigningKey
from privet.privacy.secagg.server import PendingRelease, Phase, Server
from privet.privacy.secagg.server_messages import Survivors
from privet.privacy.secagg.testing import STAGES, MemoryRecord, signing_keys

NEVER = len(STAGES)


def check_drops(last_stage: list[int], **changes: int) -> str:
    """Run a round in which device i drops out at ``STAGES[last_stage[i]]``; what came of it.

    The sum is exact over those that sent a vector, or there is none; and there is one if no more
    devices drop out of the roster than were assumed.
    """
    devices = len(last_stage)
    world = cohort(devices, **changes)
    drops = {name: [i for i, s in enumerate(last_stage) if s == n] for n, name in enumerate(STAGES)}
    charged: list[PendingRelease] = []
    roster = sum(s > 0 for s in last_stage)
    gone = sum(0 < s < NEVER for s in last_stage)
    survivors = [i for i, s in enumerate(last_stage) if s > STAGES.index("masked")]
    enough = roster >= 3 and len(survivors) >= world.clients[0]._terms.min_survivors
    rows = vectors(devices)
    try:
        aggregate = world.run(rows, drops, charge=charged.append)
    except PrivetError:
        assert world.server.phase in (Phase.ABORTED, Phase.MASKED, Phase.ADVERTS)
        if enough:
            parameters = terms(**changes).parameters(roster)
            assert gone > parameters.dropped or parameters.log2_correctness_failure > -math.inf
        return "nothing"
    assert enough
    assert np.array_equal(aggregate.total, rows[survivors].sum(axis=0, dtype=np.uint32))
    assert len(charged) == 1
    assert len(charged[0].survivors) == len(aggregate.survivors) == len(survivors)
    return "exact"


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, NEVER), min_size=8, max_size=8))
def test_sums_are_exact_or_absent_whichever_devices_drop_out_at_whichever_stage(
    last_stage: list[int],
) -> None:
    check_drops(last_stage)


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(0, 9), max_size=2), st.lists(st.integers(1, 4), min_size=2, max_size=2))
def test_as_many_dropouts_as_assumed_never_cost_the_sum(who: set[int], when: list[int]) -> None:
    last_stage = [NEVER] * 10
    for device, stage in zip(sorted(who), when, strict=False):
        last_stage[device] = stage
    assert check_drops(last_stage, min_survivors=6, drop_permille=200) == "exact"


@pytest.mark.parametrize("stage", range(len(STAGES)))
@pytest.mark.parametrize("subset", range(0, 1 << 6, 3))
def test_every_stage_takes_subsets_of_six_devices(stage: int, subset: int) -> None:
    last_stage = [stage if subset >> i & 1 else NEVER for i in range(6)]
    check_drops(last_stage, min_survivors=4)


@pytest.mark.parametrize("devices", [60, pytest.param(300, marks=pytest.mark.slow)])
def test_larger_cohorts_with_sparse_graphs_are_exact(devices: int) -> None:
    world = cohort(devices, corrupt_permille=100, drop_permille=100, min_survivors=devices // 2)
    rows, tenth = vectors(devices), devices // 10
    found = world.run(rows, {"masked": range(tenth // 2), "shares": range(tenth // 2, tenth)})
    assert world.server.roster.parameters.neighbours < devices - 1
    assert np.array_equal(found.total, rows[tenth // 2 :].sum(axis=0, dtype=np.uint32))


def check_minimum_of_survivors() -> None:
    """One device fewer than the noise is set for, and nothing is charged or learnt."""
    charged: list[PendingRelease] = []
    world = cohort(8, min_survivors=7)
    found = world.run(vectors(8), {"masked": [0]}, charge=charged.append)
    assert len(found.survivors) == 7
    world, charged = cohort(8, min_survivors=7), []
    try:
        world.run(vectors(8), {"masked": [0, 1]}, charge=charged.append)
    except PrivacyError:
        assert not charged
    else:
        raise AssertionError("A sum of six was learnt where seven are the minimum.")
    # A device refuses on its own, whatever the server thinks the minimum is.
    world = cohort(8, min_survivors=7)
    for client in world.clients:
        assert client._terms.min_survivors == 7
    inbox = run_until(world, "cosignature", {"masked": [0]})
    told = Survivors.parse(inbox[3], 8)
    fewer = Survivors(
        roster_hash=told.roster_hash,
        devices=8,
        active=told.active - {1},
        dead=told.dead | {1},
    )
    try:
        world.clients[3].cosign(fewer.encode())
    except PrivacyError:
        return
    raise AssertionError("A device signed fewer survivors than the noise is set for.")


def test_below_the_minimum_of_survivors_nothing_is_charged_or_learnt() -> None:
    check_minimum_of_survivors()


@pytest.mark.parametrize(
    "drops",
    [
        {"advert": [0, 1, 2, 3]},
        {"sharing": [0, 1, 2, 3]},
        {"masked": [0, 1, 2, 3]},
        {"cosignature": [0, 1, 2, 3]},
    ],
)
def test_too_many_dropouts_before_the_charge_cost_no_budget(drops: Mapping[str, list[int]]) -> None:
    world = cohort(8)
    charged: list[PendingRelease] = []
    with pytest.raises(PrivacyError):
        world.run(vectors(8), drops, charge=charged.append)
    assert not charged
    assert all(not record.seen for record in world.records)


def test_too_many_dropouts_after_the_charge_leave_the_sum_masked() -> None:
    world = cohort(8)
    rows = vectors(8)
    with pytest.raises(IntegrityError):
        world.run(rows, {"shares": [0, 1, 2, 3, 4, 5]})
    assert world.server.phase is Phase.ABORTED
    assert not np.array_equal(world.server._sum, rows.sum(axis=0, dtype=np.uint32))


def test_nothing_is_asked_for_when_the_ledger_refuses_the_charge() -> None:
    world = cohort(8)

    def refuse(pending: PendingRelease) -> None:
        raise BudgetError("The budget is spent.")

    with pytest.raises(BudgetError):
        world.run(vectors(8), charge=refuse)
    assert world.server.phase is Phase.ABORTED
    assert all(client.stage is Stage.UNMASK_REQUEST for client in world.clients)
    assert all(not record.seen for record in world.records)
    with pytest.raises(PrivacyError):
        world.server.request_shares(lambda pending: None)


def test_the_ledger_is_charged_before_any_device_is_asked_for_shares() -> None:
    world = cohort(8)
    seen: list[Phase] = []

    def charge(pending: PendingRelease) -> None:
        seen.append(world.server.phase)
        assert all(not record.seen for record in world.records)
        with pytest.raises(PrivacyError):
            world.server.accept_shares(b"")
        with pytest.raises(PrivacyError):
            world.server.finish()

    world.run(vectors(8), charge=charge)
    assert len(seen) == 1


def test_the_mark_is_durable_before_a_share_is_revealed() -> None:
    world = cohort(8)
    inbox = run_until(world, "shares")

    class FailingDisk:
        def record_unmasked(self, roster_hash: bytes, round_id: bytes) -> None:
            raise OSError("disk full")

    world.clients[0]._record = FailingDisk()
    with pytest.raises(OSError, match="disk full"):
        world.clients[0].unmask(inbox[0])
    assert world.clients[0].stage is Stage.ABORTED


def masked_rows(seed: int | None, round_number: int) -> NDArray[np.uint32]:
    world = cohort(8, seed=seed, round_number=round_number, dimension=4096)
    rows = np.zeros((8, 4096), np.uint32)
    sent: list[NDArray[np.uint32]] = []
    inbox = run_until(world, "masked")
    for i, message in sorted(inbox.items()):
        sent.append(Masked.parse(world.clients[i].mask(message, rows[i]), 8, 4096).vector)
    return np.stack(sent)


def check_masks_are_fresh() -> None:
    """Two rounds, even of devices whose key generator repeats itself, share no mask."""
    one, other = masked_rows(1, 0), masked_rows(1, 1)
    both = np.concatenate([one, other])
    assert both.any(axis=1).all()
    for i in range(len(both)):
        for j in range(i):
            # Of 4,096 uniform words, three or more agree with probability below 1e-12.
            assert int((both[i] == both[j]).sum()) < 3


def test_no_mask_is_used_twice_in_different_rounds_or_by_different_devices() -> None:
    check_masks_are_fresh()


def test_every_key_masks_once_a_device_and_never_in_two_rounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, used = primitives.apply_mask, []

    def spy(total: NDArray[np.uint32], key: bytes, *, subtract: bool) -> None:
        used.append((key, subtract))
        real(total, key, subtract=subtract)

    monkeypatch.setattr(primitives, "apply_mask", spy)
    rounds = []
    for number in range(2):
        used.clear()
        inbox = run_until(world := cohort(8, round_number=number), "masked")
        for i, message in inbox.items():
            world.clients[i].mask(message, vectors(8)[i])
        assert len(set(used)) == len(used)
        rounds.append({key for key, _ in used})
    assert not rounds[0] & rounds[1]


def test_a_masked_vector_says_nothing_about_the_vector() -> None:
    inbox = run_until(world := cohort(8, seed=None, dimension=4096), "masked")
    sent = world.clients[0].mask(inbox[0], np.zeros(4096, np.uint32))
    ones = np.unpackbits(Masked.parse(sent, 8, 4096).vector.view(np.uint8)).mean()
    assert abs(ones - 0.5) < 0.01


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 2**32 - 1), min_size=5, max_size=5), min_size=6, max_size=6)
)
def test_any_vectors_sum_modulo_two_to_the_32(rows: list[list[int]]) -> None:
    array = np.array(rows, np.uint32)
    found = cohort(6, min_survivors=4).run(array)
    expected = [sum(column) % 2**32 for column in zip(*rows, strict=True)]
    assert found.total.tolist() == expected


@pytest.mark.parametrize("stage", STAGES)
def test_a_message_that_a_device_sends_twice_counts_once(stage: str) -> None:
    world = cohort(8)
    accept = getattr(world.server, f"accept_{stage}")

    def twice(data: bytes) -> None:
        accept(data)
        accept(data)

    setattr(world.server, f"accept_{stage}", twice)
    rows = vectors(8)
    assert np.array_equal(world.run(rows).total, rows.sum(axis=0, dtype=np.uint32))


def test_two_different_messages_of_one_device_in_one_phase_are_refused() -> None:
    world = cohort(8)
    world.server.accept_advert(world.clients[0].advertise())
    again = Client(terms(), world.identities[0], MemoryRecord())
    with pytest.raises(PrivacyError, match="two different"):
        world.server.accept_advert(again.advertise())


@pytest.mark.parametrize(
    ("dtype", "shape"), [(np.int64, 5), (np.uint32, 4), (np.uint32, (1, 5)), (np.float64, 5)]
)
def test_a_vector_of_another_type_or_length_is_refused_and_can_be_given_again(
    dtype: type, shape: int | tuple[int, ...]
) -> None:
    inbox = run_until(world := cohort(8), "masked")
    with pytest.raises(InputError):
        world.clients[0].mask(inbox[0], np.zeros(shape, dtype))
    world.clients[0].mask(inbox[0], vectors(8)[0])


def test_a_device_with_a_bad_certificate_says_so_before_it_sends_anything() -> None:
    chosen = terms(certifier_key=CERTIFIER.public)
    with pytest.raises(IntegrityError):
        Client(chosen, SigningKey.generate(), MemoryRecord(), certificate=bytes(64))


def test_a_server_needs_the_key_that_its_terms_name() -> None:
    with pytest.raises(PrivacyError):
        Server(terms(), SigningKey.generate())
    assert Server(terms(), SERVER_KEY).phase is Phase.ADVERTS


def test_secrets_are_gone_once_a_device_is_done_or_has_given_up() -> None:
    world = cohort(8)
    world.run(vectors(8))
    for client in world.clients:
        assert client.stage is Stage.DONE
        assert client._secrets.seed == client._secrets.mask_key == b""
        assert not client._held


def check_fewer_shares_than_threshold_fail() -> None:
    """What fewer than the threshold of neighbours hold does not give a device's seed."""
    world = cohort(10, min_survivors=6, drop_permille=200)
    run_until(world, "cosignature")
    owner, threshold = 0, world.server.roster.parameters.threshold
    holders = world.clients[owner]._neighbours[: threshold - 1]
    held = {x: world.clients[i]._held[owner][0] for x, i in enumerate(holders, start=1)}
    seed = world.clients[owner]._secrets.seed
    assert all(share != int.from_bytes(seed, "big") for share in held.values())
    with pytest.raises(IntegrityError):
        shamir.combine(held, threshold=threshold)


def test_fewer_neighbours_than_the_threshold_cannot_unmask_a_device() -> None:
    check_fewer_shares_than_threshold_fail()


def test_wrong_shares_of_one_device_are_noticed() -> None:
    world = cohort(6, min_survivors=4)
    inbox = run_until(world, "shares")
    for i, message in inbox.items():
        if i == 0:
            world.clients[0]._held = {
                owner: (seed ^ 1, key) for owner, (seed, key) in world.clients[0]._held.items()
            }
        world.server.accept_shares(world.clients[i].unmask(message))
    with pytest.raises(IntegrityError, match="wrong"):
        world.server.finish()


def test_identities_are_sorted_so_that_the_order_of_arrival_does_not_matter() -> None:
    keys = signing_keys(8)
    world = cohort(8)
    for client in reversed(world.clients):
        world.server.accept_advert(client.advertise())
    world.server.close_adverts()
    assert [a.identity for a in world.server.roster.adverts] == [key.public for key in keys]
