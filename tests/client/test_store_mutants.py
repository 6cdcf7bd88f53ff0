"""Each promise of a device's store removed, one at a time, and noticed."""

import copy
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.client.stores import answer, as_after_a_crash, filled, limit_pages, slot
from tests.client.test_agreement import PLAN, Untouched, ask
from tests.privacy.minimization.claims import claim
from tests.privacy.secagg.world import cohort, run_until

from privet.client import device_store
from privet.client.device import egress_policy
from privet.client.device_store import DeviceStore
from privet.privacy.errors import EgressError, InputError, PrivacyError
from privet.privacy.minimization import agreement, denials, device_state, egress_log
from privet.privacy.minimization.agreement import Agreement
from privet.privacy.minimization.egress_log import EgressLedger
from privet.privacy.minimization.gate import Gate
from privet.privacy.secagg.client import Client

Patch = pytest.MonkeyPatch
Check = Callable[[Path], None]


def gate_over(store: DeviceStore) -> Gate:
    return Gate(egress_policy(PLAN), ledger=store.ledger)


def a_crash_while_computing_counts(tmp_path: Path) -> None:
    with DeviceStore(tmp_path / "device.db", create=True) as store:
        with pytest.raises(AssertionError, match="computed although"):
            ask(gate_over(store), model=Untouched())
        with (
            as_after_a_crash(store.path, tmp_path / "copy.db") as after,
            pytest.raises(PrivacyError, match="more often"),
        ):
            ask(gate_over(after))


def a_claim_is_in_the_file_when_it_returns(tmp_path: Path) -> None:
    with DeviceStore(tmp_path / "device.db", create=True) as store:
        claim(store.ledger, [0])
        with as_after_a_crash(store.path, tmp_path / "copy.db") as after:
            assert after.ledger.length == 1


def commits_wait_for_the_disk(tmp_path: Path) -> None:
    with DeviceStore(tmp_path / "device.db", create=True) as store:
        assert store._db.execute("PRAGMA synchronous").fetchone() == (3,)


def rounds_lie_apart(tmp_path: Path) -> None:
    with DeviceStore(tmp_path / "device.db", create=True) as store:
        far: dict[str, Any] = {"series": "s", "max_participations": 9, "min_separation": 3}
        claim(store.ledger, [0], at=5, **far)
        with pytest.raises(PrivacyError, match="less than 3"):
            claim(store.ledger, [0], at=3, **far)


def limits_hold_after_a_restart(tmp_path: Path) -> None:
    filled(tmp_path / "device.db")
    with (
        DeviceStore(tmp_path / "device.db") as store,
        pytest.raises(PrivacyError, match="more often"),
    ):
        claim(store.ledger, [0], step="other", plan="ab" * 32, max_total=4)


def a_round_is_marked_before_its_shares_are_out(tmp_path: Path) -> None:
    """A crash as soon as the shares are made leaves the mark; and no mark means no shares."""
    with DeviceStore(tmp_path / "device.db", create=True) as store:
        world = cohort()
        world.clients[0]._record = store.ledger
        inbox = run_until(world, "shares")
        twin = copy.copy(world.clients[0])
        twin._held = dict(twin._held)
        assert world.clients[0].unmask(inbox[0])
        with as_after_a_crash(store.path, tmp_path / "copy.db") as after:
            twin._record = after.ledger
            with pytest.raises(PrivacyError, match="unmasked before"):
                twin.unmask(inbox[0])
    with DeviceStore(tmp_path / "full.db", create=True) as store:
        world = cohort()
        world.clients[0]._record = store.ledger
        inbox = run_until(world, "shares")
        fill(store)
        with pytest.raises(InputError, match="full"):
            world.clients[0].unmask(inbox[0])


def fill(store: DeviceStore) -> None:
    """Use up what is left in the file."""
    limit_pages(store)
    for number in range(1000):
        try:
            answer(store.ledger, number)
        except InputError:
            return
    raise AssertionError("the file never became full")


def one_message_for_a_place(tmp_path: Path) -> None:
    with DeviceStore(tmp_path / "device.db", create=True) as store:
        store.ledger.record_sent(slot(), b"noise 1")
        with pytest.raises(PrivacyError, match="Another message"):
            store.ledger.record_sent(slot(), b"noise 2")


def what_leaves_is_in_the_file_first(tmp_path: Path) -> None:
    with DeviceStore(tmp_path / "device.db", create=True) as store:
        ask(gate_over(store))
        with as_after_a_crash(store.path, tmp_path / "copy.db") as after:
            assert len(after.ledger.lines) == 1


def a_full_disk_sends_nothing(tmp_path: Path) -> None:
    with DeviceStore(tmp_path / "device.db", create=True) as store:
        gate = gate_over(store)
        fill(store)
        with pytest.raises(InputError, match="full"):
            ask(gate, model=Untouched())


def a_flood_of_denials_stays_small(tmp_path: Path) -> None:
    with DeviceStore(tmp_path / "device.db", create=True) as store:
        gate = Gate(
            egress_policy(PLAN), agreement=Agreement.to(egress_policy(PLAN)), ledger=store.ledger
        )
        ask(gate)
        for _ in range(100):
            with pytest.raises((PrivacyError, EgressError)):
                ask(gate, model=Untouched())
        assert gate.denied == 100
        assert [denial.count for denial in store.ledger.denials] == [1, 2, 4, 8, 16, 32, 64]


def truncation_is_noticed(tmp_path: Path) -> None:
    filled(tmp_path / "device.db")
    db = sqlite3.connect(tmp_path / "device.db")
    db.execute("DELETE FROM ledger WHERE seq = 8")
    db.commit()
    db.close()
    with pytest.raises(Exception, match="cut off or changed"):
        DeviceStore(tmp_path / "device.db")


def others_are_kept_out(tmp_path: Path) -> None:
    filled(tmp_path / "device.db")
    assert (tmp_path / "device.db").stat().st_mode & 0o077 == 0


def claim_after_computing(patch: Patch) -> None:
    """Claims wait until something is to leave."""
    waiting: dict[EgressLedger, dict[str, Any]] = {}
    honest_claim, honest_append = EgressLedger.claim, EgressLedger.append

    def append(ledger: EgressLedger, line: Any, **limits: Any) -> None:
        if ledger in waiting:
            honest_claim(ledger, **waiting.pop(ledger))
        honest_append(ledger, line, **limits)

    patch.setattr(EgressLedger, "claim", lambda ledger, **asked: waiting.update({ledger: asked}))
    patch.setattr(EgressLedger, "append", append)


def written_behind(patch: Patch) -> None:
    """Entries are in memory first and in the file at some later time."""
    patch.setattr(DeviceStore, "extend", lambda store, after, build, answer=None: build([]))


def marked_behind(patch: Patch) -> None:
    patch.setattr(EgressLedger, "record_unmasked", lambda ledger, roster_hash, round_id: None)


def marked_after(patch: Patch) -> None:
    """The mark comes once the shares are made, and a failure to mark is ignored."""
    honest = Client.unmask

    def unmask(client: Client, request: bytes) -> bytes:
        record, marks = client._record, []

        class Later:
            def record_unmasked(self, roster_hash: bytes, round_id: bytes) -> None:
                marks.append((roster_hash, round_id))

        client._record = Later()
        shares = honest(client, request)
        with suppress(InputError):
            record.record_unmasked(*marks[0])
        return shares

    patch.setattr(Client, "unmask", unmask)


def forgetful(kind: str) -> Callable[[Patch], None]:
    """Entries of a kind are written and not counted when they are read."""

    def mutate(patch: Patch) -> None:
        honest = device_state.DeviceState.keep

        def keep(state: Any, entry: Any) -> None:
            if entry.kind == kind:
                state.last = entry
            else:
                honest(state, entry)

        patch.setattr(device_state.DeviceState, "keep", keep)

    return mutate


def set_(target: object, name: str, value: object) -> Callable[[Patch], None]:
    return lambda patch: patch.setattr(target, name, value)


def trusting_tip(patch: Patch) -> None:
    def since(store: DeviceStore, after: Any) -> list[Any]:
        seq = -1 if after is None else after.seq
        rows = store._db.execute("SELECT * FROM ledger WHERE seq > ? ORDER BY seq", (seq,))
        return [store._entry(*row) for row in rows.fetchall()]

    patch.setattr(DeviceStore, "_since", since)


def ignoring_full(patch: Patch) -> None:
    honest = EgressLedger.claim

    def claim_(ledger: EgressLedger, **asked: Any) -> None:
        with suppress(InputError):
            honest(ledger, **asked)

    patch.setattr(EgressLedger, "claim", claim_)


def readable(patch: Patch) -> None:
    def make(path: Path) -> None:
        path.touch(0o644)

    patch.setattr(device_store, "make_file", make)
    patch.setattr(device_store, "check_file", lambda path: None)


def no_sync(patch: Patch) -> None:
    found = tuple(p for p in device_store._PRAGMAS if not p.startswith("synchronous"))
    patch.setattr(device_store, "_PRAGMAS", (*found, "synchronous=OFF"))


def send_unrecorded(patch: Patch) -> None:
    patch.setattr(EgressLedger, "record_sent", lambda ledger, slot, message: None)


def every_denial(patch: Patch) -> None:
    patch.setattr(egress_log, "is_written", lambda count: True)
    patch.setattr(denials, "is_written", lambda count: True)


MUTANTS: dict[str, tuple[Callable[[Patch], None], Check]] = {
    "claim after computing": (claim_after_computing, a_crash_while_computing_counts),
    "claim not in the file": (written_behind, a_claim_is_in_the_file_when_it_returns),
    "claim not synced": (no_sync, commits_wait_for_the_disk),
    "separation not enforced": (
        set_(agreement, "_check_separation", lambda *_: None),
        rounds_lie_apart,
    ),
    "separation one round short": (
        set_(
            agreement,
            "_check_separation",
            lambda asked, rounds, apart, honest=agreement._check_separation: honest(
                asked, rounds, apart - 1
            ),
        ),
        rounds_lie_apart,
    ),
    "claims forgotten in a restart": (forgetful("claim"), limits_hold_after_a_restart),
    "no limit on a plan": (
        set_(agreement.Limits, "max_total", property(lambda self: None, lambda self, value: None)),
        limits_hold_after_a_restart,
    ),
    "mark not written": (marked_behind, a_round_is_marked_before_its_shares_are_out),
    "mark not in the file": (written_behind, a_round_is_marked_before_its_shares_are_out),
    "mark after unmasking": (marked_after, a_round_is_marked_before_its_shares_are_out),
    "marks forgotten in a restart": (
        forgetful("unmask"),
        a_round_is_marked_before_its_shares_are_out,
    ),
    "two messages for one place": (send_unrecorded, one_message_for_a_place),
    "messages forgotten": (forgetful("sent"), one_message_for_a_place),
    "admitted before it is in the file": (written_behind, what_leaves_is_in_the_file_first),
    "full disk ignored": (ignoring_full, a_full_disk_sends_nothing),
    "every denial written": (every_denial, a_flood_of_denials_stays_small),
    "length and head not compared": (trusting_tip, truncation_is_noticed),
    "a file that others may read": (readable, others_are_kept_out),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_promise_removed_is_noticed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutate, check = MUTANTS[name]
    (tmp_path / "real").mkdir()
    (tmp_path / "mutant").mkdir()
    check(tmp_path / "real")
    with monkeypatch.context() as patch:
        mutate(patch)
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            check(tmp_path / "mutant")
