"""A server that lies: what honest devices do about it, and the one lie that works.

`docs/secure-aggregation.md` has these outcomes in a table.
"""

import os
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.privacy.secagg.world import (
    SERVER_KEY,
    answer,
    cohort,
    run_until,
    terms,
    vectors,
)

from privet.privacy.errors import InputError, IntegrityError, PrivacyError, PrivetError
from privet.privacy.randomness import Randomness
from privet.privacy.secagg.client import Client, Stage
from privet.privacy.secagg.device_checks import survivors_signed
from privet.privacy.secagg.device_messages import (
    KEY_SHARE,
    SEED_SHARE,
    Cosignature,
    Masked,
    Shares,
)
from privet.privacy.secagg.server_messages import Delivery, Survivors, UnmaskRequest
from privet.privacy.secagg.testing import Cohort, MemoryRecord


def survivors_without(world: Cohort, missing: set[int]) -> Survivors:
    server = world.server
    return Survivors(
        roster_hash=server.roster.hash,
        devices=8,
        active=frozenset(range(8)) - missing,
        dead=frozenset(missing),
    )


def request_for(
    world: Cohort, device: int, survivors: Survivors, signatures: dict[int, bytes]
) -> bytes:
    """The request that a malicious server would make of what it has."""
    choosers = sorted(set(world.server._choosers[device]) & survivors.active)
    return UnmaskRequest(
        survivors=survivors,
        cosignatures=tuple(sorted(signatures.items())),
        statements=tuple((i, *world.server._stated[i][1:]) for i in choosers),
    ).encode()


def sign_views(world: Cohort, views: dict[int, Survivors]) -> dict[int, bytes]:
    """Show each device a view; the signatures of those that sign it."""
    signed = {}
    for device, view in views.items():
        answer = world.clients[device].cosign(view.encode())
        signed[device] = Cosignature.parse(answer, 8).signature
    return signed


# Views that differ


def check_split_views() -> None:
    """Two halves are shown different survivors: neither half reveals a share."""
    world = cohort(8)
    run_until(world, "cosignature")
    one, other = survivors_without(world, {6}), survivors_without(world, {0})
    views = {d: one for d in (0, 1, 2, 3)} | {d: other for d in (4, 5, 6, 7)}
    signed = sign_views(world, views)
    for device, view in views.items():
        enough = {d: s for d, s in signed.items() if d in view.active}
        request = request_for(world, device, view, enough)
        try:
            world.clients[device].unmask(request)
        except (IntegrityError, PrivacyError):
            continue
        raise AssertionError(f"Device {device} revealed shares to a split cohort.")


def test_split_views_with_different_survivors_reveal_nothing() -> None:
    check_split_views()


def test_a_quorum_short_of_one_signature_reveals_nothing() -> None:
    world = cohort(8)
    run_until(world, "cosignature")
    view = survivors_without(world, {6})
    signed = sign_views(world, dict.fromkeys((0, 1, 2, 3), view))
    assert world.server.roster.parameters.quorum == 5
    with pytest.raises(PrivacyError, match="Too few"):
        world.clients[0].unmask(request_for(world, 0, view, signed))


def test_as_many_colluders_as_assumed_cannot_give_two_views_a_quorum() -> None:
    world = cohort(8)
    run_until(world, "cosignature")
    one, other = survivors_without(world, {6}), survivors_without(world, {0})
    views = {d: one for d in (0, 1, 2, 3)} | {d: other for d in (4, 5, 6)}
    signed = sign_views(world, views)
    sharers = frozenset(range(8))
    colluder = world.identities[7]
    answered = []
    for view in (one, other):
        both = {d: s for d, s in signed.items() if views[d] is view}
        both[7] = colluder.sign(b"survivors", *survivors_signed(sharers, view))
        for device in sorted(both.keys() - {7}):
            try:
                world.clients[device].unmask(request_for(world, device, view, both))
            except PrivetError:
                continue
            answered.append(view)
    assert answered in ([one] * 4, [other] * 3, [])
    assert len({id(view) for view in answered}) <= 1


def test_signatures_of_another_round_count_for_nothing() -> None:
    old = cohort(8, round_number=1)
    run_until(old, "cosignature")
    stale = sign_views(old, dict.fromkeys(range(5), survivors_without(old, {6})))
    world = cohort(8, round_number=2)
    run_until(world, "cosignature")
    view = survivors_without(world, {6})
    sign_views(world, {0: view})
    with pytest.raises(IntegrityError):
        world.clients[0].unmask(request_for(world, 0, view, stale))


def test_one_signature_under_many_names_is_one_signature() -> None:
    world = cohort(8)
    run_until(world, "cosignature")
    view = survivors_without(world, {6})
    signed = sign_views(world, dict.fromkeys((0, 1, 2), view))
    repeated = [(0, signed[0])] * 5
    renamed = [(i, signed[0]) for i in range(5)]
    for device, signatures, error in ((0, repeated, InputError), (1, renamed, IntegrityError)):
        message = UnmaskRequest(survivors=view, cosignatures=tuple(signatures), statements=())
        with pytest.raises(error):
            world.clients[device].unmask(message.encode())


def test_survivors_other_than_those_signed_reveal_nothing() -> None:
    world = cohort(8)
    run_until(world, "cosignature")
    view, other = survivors_without(world, {6}), survivors_without(world, {5})
    signed = sign_views(world, dict.fromkeys(range(5), view))
    with pytest.raises(PrivacyError, match="not those"):
        world.clients[0].unmask(request_for(world, 0, other, signed))


@pytest.mark.parametrize("overlap", [{3}, {0}, {1, 2, 3}])
def test_active_and_dead_lists_that_overlap_are_refused(overlap: set[int]) -> None:
    world = cohort(8)
    run_until(world, "cosignature")
    told = survivors_without(world, {6})
    with pytest.raises(PrivacyError, match="both as active and as dead"):
        world.clients[0].cosign(replace(told, dead=told.dead | overlap).encode())


@pytest.mark.parametrize("missing", [{0}, {1, 2, 3, 4}])
def test_a_device_signs_no_survivors_without_itself_or_below_the_minimum(missing: set[int]) -> None:
    world = cohort(8)
    run_until(world, "cosignature")
    with pytest.raises(PrivacyError):
        world.clients[0].cosign(survivors_without(world, missing).encode())


# Who has shared


def test_a_device_that_is_told_that_nobody_shared_keeps_its_vector() -> None:
    inbox = run_until(world := cohort(8), "masked")
    told = Delivery.parse(inbox[0], 8)
    few = [d for d in told.delivered[:1]]
    for sharers in ({0}, {0, *(d.source for d in few)}):
        lie = replace(told, sharers=frozenset(sharers), delivered=tuple(few) if few else ())
        with pytest.raises(PrivacyError):
            world.clients[0].mask(lie.encode(), vectors(8)[0])
        inbox = run_until(world := cohort(8), "masked")


def test_nobody_reveals_the_seed_of_a_device_that_was_told_of_other_sharers() -> None:
    world = cohort(8, min_survivors=7)  # else all are neighbours
    inbox = run_until(world, "masked")
    told = Delivery.parse(inbox[0], 8)
    hidden = max(i for i in range(1, 8) if i not in world.clients[0]._neighbours)
    lie = replace(
        told,
        sharers=told.sharers - {hidden},
        delivered=tuple(d for d in told.delivered if d.source != hidden),
    )
    rows = vectors(8)
    sent = Masked.parse(world.clients[0].mask(lie.encode(), rows[0]), 8, 5)
    for device in range(1, 8):
        world.server.accept_masked(world.clients[device].mask(inbox[device], rows[device]))
    # A malicious server takes the vector as if nothing were wrong.
    world.server._stated[0] = (sent.seed_commitment, sent.content_digest, sent.signature)
    world.server.close_masked()
    view = survivors_without(world, set())
    signed = sign_views(world, dict.fromkeys(range(1, 8), view))
    with pytest.raises(PrivacyError):
        world.clients[0].cosign(view.encode())
    for holder in world.clients[0]._neighbours:
        with pytest.raises(IntegrityError, match="masked"):
            world.clients[holder].unmask(request_for(world, holder, view, signed))


# The graph


def test_an_envelope_from_a_device_that_did_not_choose_this_one_is_refused() -> None:
    inbox = run_until(world := cohort(8, min_survivors=7), "masked")
    told = Delivery.parse(inbox[0], 8)
    stranger = next(i for i in range(1, 8) if 0 not in world.server._graph[i])
    nonce = next(
        d.nonce
        for i in range(1, 8)
        for d in Delivery.parse(inbox[i], 8).delivered
        if d.source == stranger
    )
    forged = replace(told.delivered[0], source=stranger, nonce=nonce)
    lie = replace(told, delivered=tuple(sorted((*told.delivered, forged), key=lambda d: d.source)))
    with pytest.raises(IntegrityError, match="did not choose"):
        world.clients[0].mask(lie.encode(), vectors(8)[0])


def test_a_nonce_made_after_the_roster_is_refused() -> None:
    inbox = run_until(world := cohort(8), "masked")
    told = Delivery.parse(inbox[0], 8)
    late = replace(told.delivered[0], nonce=bytes(32))
    lie = replace(told, delivered=(late, *told.delivered[1:]))
    with pytest.raises(IntegrityError, match="commitment"):
        world.clients[0].mask(lie.encode(), vectors(8)[0])


@pytest.mark.parametrize("change", [(-1, 0), (0, -1), (1, 0), (0, 1)])
def test_a_graph_from_another_table_is_refused(change: tuple[int, int]) -> None:
    inbox = run_until(world := cohort(8), "sharing")
    p = world.server.roster.parameters
    at = 6 + sum(len(value) for _, value in terms().fields) + 4
    body = bytearray(inbox[0][:-64])
    body[at : at + 4] = (p.neighbours + change[0]).to_bytes(2, "big") + (
        p.threshold + change[1]
    ).to_bytes(2, "big")
    signed = bytes(body) + SERVER_KEY.sign(b"roster", digest(bytes(body)))
    with pytest.raises(PrivacyError, match="table"):
        world.clients[0].share(signed)


def digest(data: bytes) -> bytes:
    import hashlib

    return hashlib.sha256(data).digest()


# Replays


@pytest.mark.parametrize("stage", ["sharing", "masked", "cosignature", "shares"])
def test_a_message_that_is_replayed_is_refused_and_changes_nothing(stage: str) -> None:
    world = cohort(8)
    real = world._answer

    def replay(device, message, action, accept):  # type: ignore[no-untyped-def]
        real(device, message, action, accept)
        if message:
            with pytest.raises(PrivacyError, match="refused"):
                action(world.clients[device], message)

    world._answer = replay  # type: ignore[method-assign]
    rows = vectors(8)
    assert np.array_equal(world.run(rows).total, rows.sum(axis=0, dtype=np.uint32))


@pytest.mark.parametrize("stage", ["sharing", "masked", "cosignature", "shares"])
def test_messages_of_an_earlier_round_are_refused(stage: str) -> None:
    old = run_until(cohort(8, round_number=1), stage)
    world = cohort(8, round_number=2)
    run_until(world, stage)
    client = world.clients[0]
    with pytest.raises((PrivacyError, IntegrityError)):
        answer(client, stage, old[0], vectors(8)[0])
    assert client.stage is Stage.ABORTED


def test_a_delivery_for_another_device_is_refused() -> None:
    inbox = run_until(world := cohort(8), "masked")
    with pytest.raises(IntegrityError):
        world.clients[0].mask(inbox[1], vectors(8)[0])


# Unmasking twice


class FileRecord:
    """A durable record: a file of hashes, written through to the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def record_unmasked(self, roster_hash: bytes, round_id: bytes) -> None:
        known = self.path.read_text().split() if self.path.exists() else []
        if {roster_hash.hex(), round_id.hex()} & set(known):
            raise PrivacyError("This round was unmasked before.")
        with self.path.open("a") as file:
            file.write(f"{roster_hash.hex()}\n{round_id.hex()}\n")
            file.flush()
            os.fsync(file.fileno())


def test_a_second_unmasking_is_refused_after_a_restart(tmp_path: Path) -> None:
    world = cohort(8)
    world.clients[0]._record = FileRecord(tmp_path / "unmasked")
    inboxes = [run_until(world, "sharing")]
    rows = vectors(8)
    for before, stage in (
        ("sharing", "masked"),
        ("masked", "cosignature"),
        ("cosignature", "shares"),
    ):
        for device, message in inboxes[-1].items():
            reply = answer(world.clients[device], before, message, rows[device])
            getattr(world.server, f"accept_{before}")(reply)
        inboxes.append(world.inbox_before(stage, lambda pending: None))
    world.clients[0].unmask(inboxes[3][0])
    with pytest.raises(PrivacyError, match="refused"):
        world.clients[0].unmask(inboxes[3][0])
    # The process restarts with everything as it was but for what is on the disk; at worst even
    # the device's secrets are there again.
    again = Client(
        terms(),
        world.identities[0],
        FileRecord(tmp_path / "unmasked"),
        rng=Randomness.insecure_seeded(1_000_003),
    )
    again.advertise()
    again.share(inboxes[0][0])
    again.mask(inboxes[1][0], rows[0])
    again.cosign(inboxes[2][0])
    with pytest.raises(PrivacyError, match="unmasked before"):
        again.unmask(inboxes[3][0])
    assert again.stage is Stage.ABORTED


def test_another_roster_for_a_round_that_was_unmasked_is_refused_at_the_end() -> None:
    record = MemoryRecord()
    for attempt in range(2):
        world = cohort(8, seed=attempt + 1)
        world.clients[0]._record = record
        if attempt == 0:
            world.run(vectors(8))
            continue
        inbox = run_until(world, "shares")
        with pytest.raises(PrivacyError, match="before"):
            world.clients[0].unmask(inbox[0])


def check_one_secret_each(gone: set[int], *, late: bool) -> None:
    """Of each device either the seed's shares are revealed or the key's."""
    world = cohort(8)
    drops = {"cosignature" if late else "masked": gone}
    inbox = run_until(world, "shares", drops)
    revealed: defaultdict[int, set[int]] = defaultdict(set)
    for device, message in inbox.items():
        for owner, secret, _ in Shares.parse(world.clients[device].unmask(message), 8).revealed:
            revealed[owner].add(secret)
    for owner, secrets in revealed.items():
        dropped = owner in gone and not late
        assert secrets == {KEY_SHARE if dropped else SEED_SHARE}


@settings(max_examples=40, deadline=None)
@given(st.sets(st.integers(0, 7), max_size=2), st.booleans())
def test_of_no_device_both_secrets_are_revealed(gone: set[int], late: bool) -> None:
    check_one_secret_each(gone, late=late)


# Corrupt devices


def test_a_device_with_keys_of_low_order_is_turned_away_before_it_can_stop_others() -> None:
    world = cohort(8)
    client = world.clients[0]
    forged = replace(client._advert, mask_key=bytes(32))
    signature = world.identities[0].sign(b"advert", terms().digest, *forged.signed)
    with pytest.raises(IntegrityError, match="key agreement"):
        world.server.accept_advert(replace(forged, signature=signature).encode(terms().digest))
    assert not world.server._adverts


def test_shares_that_nobody_asked_for_are_refused() -> None:
    world = cohort(8)
    inbox = run_until(world, "shares", {"masked": [7]})
    parsed = Shares.parse(world.clients[0].unmask(inbox[0]), 8)
    other = tuple((owner, 3 - secret, share) for owner, secret, share in parsed.revealed)
    forged = replace(parsed, revealed=other)
    signature = world.identities[0].sign(b"shares", *forged.signed)
    with pytest.raises(PrivacyError, match="nobody asked"):
        world.server.accept_shares(replace(forged, signature=signature).encode())


@pytest.mark.parametrize("stage", ["advert", "sharing", "masked", "cosignature", "shares"])
def test_the_server_refuses_what_another_device_signed(stage: str) -> None:
    world = cohort(8)
    real = world._answer
    refused = []

    def forge(device, message, action, accept):  # type: ignore[no-untyped-def]
        def check(answer: bytes) -> None:
            with pytest.raises(IntegrityError):
                accept(answer[:-64] + bytes(64))
            refused.append(device)
            accept(answer)

        real(device, message, action, check)

    world._answer = forge  # type: ignore[method-assign]
    rows = vectors(8)
    assert np.array_equal(world.run(rows).total, rows.sum(axis=0, dtype=np.uint32))
    assert len(refused) == 40
