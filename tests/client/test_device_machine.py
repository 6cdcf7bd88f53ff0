"""A device's memory on disk decides as the one in memory does, whatever happens in whatever order."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from privet.client.device_store import DeviceStore
from privet.privacy.errors import PrivacyError
from privet.privacy.minimization.agreement import Limits, MemoryParticipations, Participations
from privet.privacy.minimization.egress_log import EgressLedger
from privet.privacy.minimization.sending import Slot

CLAIMS = st.fixed_dictionaries(
    {
        "plan_hash": st.sampled_from(["ab" * 32, "cd" * 32]),
        "step": st.sampled_from(["one", "two"]),
        "devices": st.lists(st.integers(0, 2), max_size=3).map(lambda d: np.array(d, np.int64)),
        "series": st.sampled_from([None, "s", "t"]),
        "round_number": st.integers(0, 6),
        "limits": st.builds(
            Limits,
            max_participations=st.integers(1, 4),
            max_total=st.none() | st.integers(1, 6),
            max_lifetime=st.none() | st.integers(1, 8),
            min_separation=st.integers(1, 4),
        ),
    }
)
SLOTS = st.builds(
    Slot,
    run=st.just("run"),
    round_number=st.integers(0, 2),
    stage=st.sampled_from(["masked", "shares"]),
)
MARKS = st.sampled_from([b"a" * 32, b"b" * 32, b"c" * 32, b"d" * 32])


class DiskAndMemory(RuleBasedStateMachine):
    """The same calls on a store, through either of two handles, and on memory."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "device.db"
        self.stores = [DeviceStore(self.path, create=True), DeviceStore(self.path)]
        self.memory = EgressLedger()
        self.participations = MemoryParticipations()

    @property
    def disk(self) -> EgressLedger:
        return self.stores[0].ledger

    @rule(asked=CLAIMS)
    def claim(self, asked: dict[str, object]) -> None:
        def outcome(kept: Participations) -> str:
            try:
                kept.claim(**asked)  # type: ignore[arg-type]
            except PrivacyError as error:
                return str(error)
            return "counted"

        kinds = (self.disk, self.memory, self.participations)
        assert len({outcome(kept) for kept in kinds}) == 1

    @rule(roster=MARKS, round_id=MARKS)
    def unmask(self, roster: bytes, round_id: bytes) -> None:
        def outcome(ledger: EgressLedger) -> str:
            try:
                ledger.record_unmasked(roster, round_id)
            except PrivacyError as error:
                return str(error)
            return "marked"

        assert outcome(self.disk) == outcome(self.memory)

    @rule(slot=SLOTS, message=st.sampled_from([b"x", b"y"]))
    def send(self, slot: Slot, message: bytes) -> None:
        def outcome(ledger: EgressLedger) -> str:
            try:
                ledger.record_sent(slot, message)
            except PrivacyError as error:
                return str(error)
            return "recorded"

        assert outcome(self.disk) == outcome(self.memory)

    @rule(slot=SLOTS)
    def resend(self, slot: Slot) -> None:
        def outcome(ledger: EgressLedger) -> object:
            try:
                return ledger.resend(slot)
            except PrivacyError as error:
                return str(error)

        assert outcome(self.disk) == outcome(self.memory)

    @rule()
    def forget(self) -> None:
        self.disk.forget_answer()
        self.memory.forget_answer()

    @rule()
    def other_process(self) -> None:
        self.stores.reverse()

    @rule()
    def restart(self) -> None:
        self.stores[0].close()
        self.stores[0] = DeviceStore(self.path)

    @invariant()
    def one_chain(self) -> None:
        assert self.disk.entries == self.memory.entries

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        self.directory.cleanup()


TestDiskAndMemory = DiskAndMemory.TestCase
TestDiskAndMemory.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
