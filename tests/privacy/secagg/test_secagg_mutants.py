"""Every protection of the protocol, removed: a check of this suite must then fail.

Each check is one of the suite's own; it passes on the real code (the other files run it) and must
fail on the mutant.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.privacy.secagg import test_malicious_server, test_primitives, test_rosters, test_rounds

from privet.privacy.errors import InputError, PrivetError
from privet.privacy.secagg import client, device_checks, graph, primitives, shamir


def _reused_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    real_pairwise, real_self = primitives.pairwise_key, primitives.self_key

    def pairwise(secret: bytes, public: bytes, _: bytes, __: int, ids: Any) -> bytes:
        return real_pairwise(secret, public, bytes(32), 0, ids)

    monkeypatch.setattr(primitives, "pairwise_key", pairwise)
    monkeypatch.setattr(
        primitives, "self_key", lambda seed, _, __, identity: real_self(seed, b"", 0, identity)
    )
    # A graph that stays the same, too, so that the whole mask of a device is the earlier one.
    real_choice = graph.choose_neighbours
    monkeypatch.setattr(
        graph, "choose_neighbours", lambda nonce, _, **rest: real_choice(nonce, bytes(32), **rest)
    )


def _small_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = primitives.apply_mask

    def weak(total: NDArray[np.uint32], key: bytes, *, subtract: bool) -> None:
        real(total, key[:4] + bytes(28), subtract=subtract)

    monkeypatch.setattr(primitives, "apply_mask", weak)


def _unsigned_consistency(monkeypatch: pytest.MonkeyPatch) -> None:
    real = primitives.verify

    def lax(public: bytes, signature: bytes, purpose: bytes, *parts: bytes) -> None:
        if purpose != b"survivors":
            real(public, signature, purpose, *parts)

    monkeypatch.setattr(primitives, "verify", lax)


def _without(monkeypatch: pytest.MonkeyPatch, name: str, *texts: str) -> None:
    """A check of the client that forgets the refusals whose text starts like this."""
    real = getattr(device_checks, name)

    def lax(*args: Any) -> None:
        try:
            real(*args)
        except PrivetError as error:
            if not str(error).startswith(texts):
                raise

    monkeypatch.setattr(client, name, lax)


def _no_minimum_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    _without(monkeypatch, "check_survivors", "Fewer devices survive")


def _no_quorum(monkeypatch: pytest.MonkeyPatch) -> None:
    _without(monkeypatch, "check_request", "Too few devices signed")


def _no_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    real = primitives.verify

    def lax(public: bytes, signature: bytes, purpose: bytes, *parts: bytes) -> None:
        if purpose != b"masked":
            real(public, signature, purpose, *parts)

    monkeypatch.setattr(primitives, "verify", lax)


def _graph_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "check_opening", lambda *_: None)


def _overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    _without(monkeypatch, "check_survivors", "A device is listed both")


def _no_own_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(primitives, "apply_mask", lambda *_, **__: None)


def _both_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """One device in two reveals the key instead of the seed."""

    def either(self: client.Client) -> tuple[tuple[int, int, int], ...]:
        held = sorted(self._held.items())
        return tuple((owner, 1 + self._own % 2, pair[self._own % 2]) for owner, pair in held)

    monkeypatch.setattr(client.Client, "_revealed", either)


def _no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    from privet.privacy.secagg import roster

    monkeypatch.setattr(roster, "check_certificate", lambda *_: None)


def _no_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    real = shamir.split

    def flat(secret: bytes, **rest: Any) -> list[int]:
        return [int.from_bytes(secret, "big")] * len(real(secret, **rest))

    monkeypatch.setattr(shamir, "split", flat)


MUTANTS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], Callable[[], None]]] = {
    "a mask that is used again": (_reused_mask, test_rounds.check_masks_are_fresh),
    "a mask from a seed of 32 bits": (_small_seed, test_primitives.check_every_key_bit_counts),
    "an unsigned consistency round": (
        _unsigned_consistency,
        test_malicious_server.check_split_views,
    ),
    "no minimum of survivors on the device": (
        _no_minimum_on_the_device,
        test_rounds.check_minimum_of_survivors,
    ),
    "no quorum": (
        _no_quorum,
        test_malicious_server.test_a_quorum_short_of_one_signature_reveals_nothing,
    ),
    "no statement of whom a vector was masked with": (
        _no_statements,
        test_malicious_server.test_nobody_reveals_the_seed_of_a_device_that_was_told_of_other_sharers,
    ),
    "nonces that need not open": (
        _graph_of_the_server,
        test_malicious_server.test_a_nonce_made_after_the_roster_is_refused,
    ),
    "lists that may overlap": (
        _overlap,
        lambda: test_malicious_server.test_active_and_dead_lists_that_overlap_are_refused({3}),
    ),
    "no masks": (_no_own_mask, test_rounds.test_a_masked_vector_says_nothing_about_the_vector),
    "shares of whatever secret": (
        _both_secrets,
        lambda: test_malicious_server.check_one_secret_each(set(), late=False),
    ),
    "certificates unread": (
        _no_certificates,
        test_rosters.test_with_certified_identities_invented_devices_are_refused,
    ),
    "shares that are the secret": (
        _no_threshold,
        test_rounds.check_fewer_shares_than_threshold_fail,
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_protection_that_is_removed_is_noticed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutate, check = MUTANTS[name]
    check()
    mutate(monkeypatch)
    with pytest.raises((AssertionError, PrivetError, pytest.fail.Exception)) as caught:
        check()
    assert not isinstance(caught.value, InputError), "The mutant broke the code instead."
