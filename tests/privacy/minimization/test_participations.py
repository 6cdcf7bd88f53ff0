"""Participations in memory keep the contract."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.privacy.minimization.claims import ParticipationsContract, claim

from privet.privacy.errors import PrivacyError
from privet.privacy.minimization.agreement import MemoryParticipations


class TestMemory(ParticipationsContract):
    @pytest.fixture
    def kept(self) -> MemoryParticipations:
        return MemoryParticipations()


@given(st.lists(st.lists(st.integers(0, 3), max_size=3), max_size=12), st.integers(1, 3))
def test_no_device_is_ever_counted_beyond_the_limit(cohorts: list[list[int]], limit: int) -> None:
    kept = MemoryParticipations()
    passed: list[int] = []
    for cohort in cohorts:
        try:
            claim(kept, cohort, max_participations=limit)
        except PrivacyError:
            assert any((passed + cohort).count(device) > limit for device in cohort)
        else:
            passed += cohort
    assert all(passed.count(device) <= limit for device in passed)


def test_threads_share_one_count() -> None:
    kept = MemoryParticipations()

    def attempt(_: int) -> bool:
        try:
            claim(kept, list(range(50)), max_participations=3)
        except PrivacyError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(40))) == 3
