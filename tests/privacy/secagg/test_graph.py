"""The graph: chosen by committed nonces, not by the server."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from tests.privacy.statistics import FALSE_ALARM

from privet.privacy.errors import IntegrityError
from privet.privacy.secagg.graph import check_opening, choose_neighbours, commit


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.integers(2, 200), st.data())
def test_neighbours_are_different_positions_other_than_ones_own(
    nonce: bytes, devices: int, data: st.DataObject
) -> None:
    own = data.draw(st.integers(0, devices - 1))
    count = data.draw(st.integers(1, devices - 1))
    found = choose_neighbours(nonce, bytes(32), own=own, devices=devices, count=count)
    assert len(set(found)) == len(found) == count
    assert own not in found
    assert all(0 <= position < devices for position in found)


def test_every_other_device_is_chosen_equally_often() -> None:
    devices, count, rounds = 12, 5, 4000
    seen = np.zeros(devices, np.int64)
    for i in range(rounds):
        nonce = i.to_bytes(32, "big")
        found = choose_neighbours(nonce, bytes(32), own=4, devices=devices, count=count)
        seen[list(found)] += 1
    assert seen[4] == 0
    others = np.delete(seen, 4)
    # Choices without replacement vary less than multinomial ones, so the test errs towards passing
    # equal frequencies; a device left out or favoured by a tenth fails it.
    assert chisquare(others).pvalue > FALSE_ALARM


def test_the_choice_follows_from_nonce_roster_and_position_only() -> None:
    def choose(nonce: int, roster: int, own: int) -> tuple[int, ...]:
        ends = (bytes([nonce]) * 32, bytes([roster]) * 32)
        return choose_neighbours(*ends, own=own, devices=1000, count=45)

    assert choose(1, 1, 0) == choose(1, 1, 0)
    assert len({choose(1, 1, 0), choose(2, 1, 0), choose(1, 2, 0), choose(1, 1, 1)}) == 4


def test_a_nonce_opens_only_its_own_commitment_of_its_own_device() -> None:
    nonce, identity = b"n" * 32, b"i" * 32
    check_opening(nonce, identity, commit(nonce, identity))
    for found, who in ((b"m" * 32, identity), (nonce, b"j" * 32)):
        with pytest.raises(IntegrityError):
            check_opening(found, who, commit(nonce, identity))
