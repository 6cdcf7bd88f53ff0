"""What was denied is in the chain, without its content, and a flood of it does not grow."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.privacy.minimization.policies import EVERY_KIND
from tests.privacy.minimization.test_messages import message
from tests.privacy.test_gate import BAD, RULE, UPLOAD, Texty

from privet.privacy.errors import EgressError, InputError, IntegrityError, PrivacyError
from privet.privacy.ledger import Entry, EntryKind, check_chain
from privet.privacy.minimization.denials import Denial, Reason, is_written
from privet.privacy.minimization.egress_log import EgressLedger
from privet.privacy.minimization.entries import MemoryEntries
from privet.privacy.minimization.gate import Gate, Upload
from privet.privacy.minimization.messages import Message
from privet.privacy.minimization.policy import EgressPolicy

POLICY = EgressPolicy(rules=(RULE,))


def denied(gate: Gate, upload: Upload, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(EgressError, match="Nothing was sent"):
            gate.admit(upload)


@pytest.mark.parametrize(
    ("upload", "reason", "step", "fields"),
    [
        (BAD["field"], Reason.FIELDS, "one", ()),
        (BAD["step"], Reason.FIELDS, "", ()),
        (BAD["dimension"], Reason.FORM, "one", ("contribution",)),
        (BAD["float64"], Reason.FORM, "one", ("contribution",)),
        (BAD["integer above"], Reason.RANGE, "one", ("contribution",)),
        (BAD["index beyond"], Reason.RANGE, "one", ("contribution",)),
        (BAD["a step that can carry more"], Reason.FIELDS, "", ()),
    ],
)
def test_a_denial_is_in_the_chain_with_its_reason_and_names_of_the_policy_only(
    upload: Upload, reason: Reason, step: str, fields: tuple[str, ...]
) -> None:
    gate = Gate(POLICY)
    denied(gate, upload)
    (found,) = gate.ledger.denials
    assert found == Denial(
        reason=reason, step=step, fields=fields, plan_hash="", policy_hash=POLICY.hash
    )
    check_chain(gate.ledger.entries, length=2)
    assert EgressLedger.from_bytes(gate.ledger.to_bytes()).denials == (found,)


@pytest.mark.parametrize("upload", BAD.values(), ids=BAD)
def test_a_denial_has_no_room_for_content(upload: Upload) -> None:
    gate = Gate(POLICY)
    denied(gate, upload)
    text = gate.ledger.to_bytes()
    for content in (b"777001", b"history", b"three"):
        assert content not in text


def test_messages_are_denied_with_the_reason_that_applies() -> None:
    gate = Gate(EVERY_KIND)
    secret: Any = {"liked item 4711": 1}
    for tried, reason in (
        (Message(step="one", fields=secret), Reason.FIELDS),
        (Message(step=Texty("one"), fields=message().fields), Reason.FIELDS),
        (replace(message(), fields={**message().fields, "count": 1.5}), Reason.FORM),  # type: ignore[dict-item]
        (replace(message(), fields={**message().fields, "count": 17}), Reason.RANGE),
    ):
        with pytest.raises(EgressError):
            gate.admit_message(tried)
        assert gate.ledger.denials[-1].reason is reason
    assert b"4711" not in gate.ledger.to_bytes()
    assert gate.denied == 4


def test_a_flood_of_denials_grows_with_the_logarithm_of_its_size() -> None:
    gate = Gate(POLICY)
    denied(gate, BAD["dimension"], times=1000)
    assert [denial.count for denial in gate.ledger.denials] == [2**k for k in range(10)]
    denied(gate, BAD["float64"], times=24)  # denied alike: counted together
    denied(gate, BAD["field"], times=3)
    assert [denial.count for denial in gate.ledger.denials][10:] == [1024, 1, 2]
    assert gate.denied == 1027


def test_different_names_make_no_different_denials() -> None:
    gate = Gate(POLICY)
    for number in range(100):
        denied(gate, replace(UPLOAD, field=f"field {number}", step=f"step {number}"))
    assert [denial.count for denial in gate.ledger.denials] == [1, 2, 4, 8, 16, 32, 64]


def test_a_restart_goes_on_from_the_count_written_last() -> None:
    gate = Gate(POLICY)
    denied(gate, BAD["field"], times=7)
    ledger = EgressLedger.from_bytes(gate.ledger.to_bytes())
    again = Gate(POLICY, ledger=ledger)
    denied(again, BAD["field"], times=3)
    assert [denial.count for denial in ledger.denials] == [1, 2, 4]
    denied(again, BAD["field"])
    assert [denial.count for denial in ledger.denials] == [1, 2, 4, 8]


class Full(MemoryEntries):
    """A disk that is full once there is something on it."""

    def extend(self, after: Entry | None, *rest: Any, **more: Any) -> None:
        if after is not None:
            raise InputError("the disk is full")
        super().extend(after, *rest, **more)


def test_what_cannot_be_written_down_is_not_admitted_and_still_denied() -> None:
    gate = Gate(POLICY, ledger=EgressLedger(Full()))
    with pytest.raises(InputError, match="full"):
        gate.admit(UPLOAD)
    assert gate.ledger.lines == ()
    denied(gate, BAD["field"], times=2)
    assert gate.denied == 2


def test_refusals_before_anything_is_computed_are_written_down_too() -> None:
    gate = Gate(POLICY)
    for reason, error in (
        (Reason.AGREEMENT, EgressError("no")),
        (Reason.PARTICIPATION, PrivacyError("no")),
    ):
        with pytest.raises(type(error)), gate.noting(reason, "two"):
            raise error
        assert gate.ledger.denials[-1].reason is reason
        assert gate.ledger.denials[-1].step == "two"
    with pytest.raises(InputError), gate.noting(Reason.AGREEMENT, "two"):
        raise InputError("not a refusal")
    assert len(gate.ledger.denials) == 2


def test_only_powers_of_two_are_written() -> None:
    assert [count for count in range(-2, 40) if is_written(count)] == [1, 2, 4, 8, 16, 32]


@pytest.mark.parametrize(
    "change",
    [{"reason": "because"}, {"count": 3}, {"count": 0}, {"count": True}, {"fields": [1]}, {"x": 1}],
)
def test_what_is_no_denial_is_refused(change: dict[str, Any]) -> None:
    gate = Gate(POLICY)
    denied(gate, BAD["field"])
    entry = gate.ledger.entries[-1]
    assert entry.kind is EntryKind.DENIAL
    with pytest.raises(IntegrityError, match="denial"):
        Denial.from_dict({**entry.body, **change})
    assert np.array_equal(UPLOAD.indices, [0, 3, 3])
