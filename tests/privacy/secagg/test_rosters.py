"""Rosters that lie, and cohorts of invented devices, with and without certified identities.

`docs/secure-aggregation.md` has these outcomes in a table.
"""

from dataclasses import replace

import numpy as np
import pytest
from tests.privacy.secagg.world import (
    CERTIFIER,
    SERVER_KEY,
    cohort,
    terms,
    vectors,
)

from privet.privacy.errors import InputError, IntegrityError, PrivacyError
from privet.privacy.randomness import Randomness
from privet.privacy.secagg import primitives
from privet.privacy.secagg.client import Client, Stage
from privet.privacy.secagg.device_messages import (
    Advert,
)
from privet.privacy.secagg.primitives import SigningKey
from privet.privacy.secagg.roster import encode_roster
from privet.privacy.secagg.server_messages import Delivery
from privet.privacy.secagg.terms import Terms
from privet.privacy.secagg.testing import MemoryRecord, signing_keys


def adverts_of(clients: list[Client], certified: bool = False) -> list[Advert]:
    return [Advert.parse(client.advertise(), certified)[1] for client in clients]


def clients_for(chosen: Terms, keys: list[SigningKey], start: int = 0) -> list[Client]:
    return [
        Client(chosen, key, MemoryRecord(), rng=Randomness.insecure_seeded(start + i))
        for i, key in enumerate(keys)
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"model_hash": "33" * 32},
        {"plan_hash": "33" * 32},
        {"run": "other"},
        {"round_number": 4},
        {"dimension": 6},
        {"min_survivors": 3},
        {"corrupt_permille": 0},
        {"drop_permille": 300},
        {"certifier_key": CERTIFIER.public},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_roster_for_another_model_plan_round_or_parameter_is_refused(
    change: dict[str, object],
) -> None:
    clients = clients_for(terms(), signing_keys(8))
    other = terms(**change)
    adverts = adverts_of(clients)
    if other.certified:
        adverts = [replace(a, certificate=CERTIFIER.certify(a.identity)) for a in adverts]
    with pytest.raises(PrivacyError, match="another"):
        clients[0].share(encode_roster(other, adverts, SERVER_KEY))
    assert clients[0].stage is Stage.ABORTED


def test_a_roster_of_another_server_is_refused() -> None:
    clients = clients_for(terms(), signing_keys(8))
    roster = encode_roster(terms(), adverts_of(clients), SigningKey.generate())
    with pytest.raises(IntegrityError, match="roster"):
        clients[0].share(roster)


def test_a_roster_without_this_device_or_with_other_keys_for_it_is_refused() -> None:
    clients = clients_for(terms(), signing_keys(9))
    adverts = adverts_of(clients)
    impostor = replace(adverts[0], mask_key=primitives.public_key(b"\5" * 32))
    for changed in (adverts[1:], [impostor, *adverts[1:]]):
        victim = clients_for(terms(), signing_keys(9))[0]
        victim.advertise()
        with pytest.raises(IntegrityError, match="not in the roster"):
            victim.share(encode_roster(terms(), changed, SERVER_KEY))


def test_keys_that_the_server_put_in_place_of_a_neighbours_are_refused() -> None:
    refusals = 0
    for swapped in range(1, 8):
        clients = clients_for(terms(), signing_keys(8))
        adverts = adverts_of(clients)
        adverts[swapped] = replace(adverts[swapped], mask_key=primitives.public_key(b"\5" * 32))
        roster = encode_roster(terms(), adverts, SERVER_KEY)
        try:
            clients[0].share(roster)
        except IntegrityError:
            refusals += 1
        else:
            assert swapped not in clients[0]._neighbours
    assert refusals >= 1


def test_a_cohort_smaller_than_the_minimum_is_refused() -> None:
    lax = terms(min_survivors=4)
    clients = clients_for(terms(min_survivors=5), signing_keys(4))
    with pytest.raises(PrivacyError):
        clients[0].share(encode_roster(lax, adverts_of(clients), SERVER_KEY))


def test_a_minimum_that_corrupt_devices_could_fill_hides_nobody_and_is_refused() -> None:
    chosen = terms(min_survivors=2, corrupt_permille=250)
    with pytest.raises(PrivacyError, match="hides nobody"):
        encode_roster(chosen, adverts_of(clients_for(chosen, signing_keys(8))), SERVER_KEY)


def test_devices_named_twice_or_out_of_order_are_refused() -> None:
    clients = clients_for(terms(), signing_keys(8))
    adverts = adverts_of(clients)
    twice = [*adverts[:7], adverts[6]]
    with pytest.raises(InputError, match="ascending"):
        clients[0].share(encode_roster(terms(), twice, SERVER_KEY))


@pytest.mark.parametrize("name", ["mask_key", "envelope_key", "commitment"])
def test_two_devices_with_the_same_key_are_refused(name: str) -> None:
    clients = clients_for(terms(), signing_keys(8))
    adverts = adverts_of(clients)
    adverts[5] = replace(adverts[5], **{name: getattr(adverts[4], name)})
    with pytest.raises(InputError, match="the same"):
        clients[0].share(encode_roster(terms(), adverts, SERVER_KEY))


def test_equivocating_rosters_split_the_cohort_into_parts_that_are_too_small() -> None:
    keys = signing_keys(9)
    clients = clients_for(terms(), keys)
    adverts = adverts_of(clients)
    rosters = [encode_roster(terms(), chosen, SERVER_KEY) for chosen in (adverts[:8], adverts[1:])]
    sent = [clients[i].share(rosters[0 if i < 4 else 1]) for i in range(9)]
    assert len({message[6:38] for message in sent}) == 2
    for i, client in enumerate(clients):
        # The smaller part is below the minimum. The larger one, with five devices, is an ordinary
        # round in which the other three dropped out; no device is in both.
        members = range(4) if i < 4 else range(4, 9)
        own = i if i < 4 else i - 1
        sharers = frozenset(m if i < 4 else m - 1 for m in members)
        lie = Delivery(
            roster_hash=sent[i][6:38], destination=own, devices=8, sharers=sharers, delivered=()
        )
        if len(sharers) < 5:
            with pytest.raises(PrivacyError):
                client.mask(lie.encode(), vectors(9)[i])


# Sybils


def test_without_certified_identities_invented_devices_give_one_users_vector_away() -> None:
    """The attack that nothing in the protocol stops, which is why A4's guarantee is "none"."""
    world = cohort(8)  # devices 1 to 7 are the server's own
    rows = vectors(8)
    total = world.run(rows).total
    assert np.array_equal(total - rows[1:].sum(axis=0, dtype=np.uint32), rows[0])
    assert terms().guarantee_against_malicious_server == "none"


def test_with_certified_identities_invented_devices_are_refused() -> None:
    chosen = terms(certifier_key=CERTIFIER.public)
    keys = signing_keys(8)
    certificate = CERTIFIER.certify(keys[0].public)
    honest = Client(chosen, keys[0], MemoryRecord(), certificate=certificate)
    adverts = adverts_of([honest], certified=True)
    for key in keys[1:]:
        invented = Client(terms(), key, MemoryRecord())
        advert = adverts_of([invented])[0]
        forged = SERVER_KEY.certify(key.public)
        signature = key.sign(b"advert", chosen.digest, *advert.signed)
        adverts.append(replace(advert, certificate=forged, signature=signature))
    with pytest.raises(IntegrityError, match="certificate"):
        honest.share(encode_roster(chosen, adverts, SERVER_KEY))
    assert chosen.guarantee_against_malicious_server != "none"


def test_a_round_with_certified_identities_is_exact() -> None:
    world = cohort(8, certifier_key=CERTIFIER.public)
    rows = vectors(8)
    found = world.run(rows, {"masked": [1]})
    assert np.array_equal(found.total, np.delete(rows, 1, 0).sum(axis=0, dtype=np.uint32))


def test_the_server_takes_no_uncertified_device_either() -> None:
    world = cohort(8, certifier_key=CERTIFIER.public)
    advert = Advert.parse(world.clients[0].advertise(), True)[1]
    with pytest.raises(IntegrityError):
        forged = replace(advert, certificate=bytes(64))
        world.server.accept_advert(forged.encode(world.clients[0]._terms.digest))


def test_a_server_cannot_be_its_own_certifier() -> None:
    with pytest.raises(InputError, match="not the server"):
        terms(certifier_key=SERVER_KEY.public)
    with pytest.raises(InputError):
        terms(certifier_key=bytes(32))
