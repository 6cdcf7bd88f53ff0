"""Every field of every message to a device, changed alone: refused, or harmless.

The outcomes are asserted as a whole, and `docs/secure-aggregation.md` lists every one of them. "refused" means
that the device raises a documented error, reveals nothing and takes no further part. "unharmed"
means that it goes on and the round ends with the exact sum of its survivors, or with none. Bits of
a field are flipped one by one: all of short fields, some of long ones. "re-signed" rosters were
changed by a server that signs them again and sends them to all.
"""

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from tests.privacy.secagg.fields import (
    Fields,
    delivery_fields,
    request_fields,
    roster_fields,
    survivors_fields,
)
from tests.privacy.secagg.world import SERVER_KEY, answer, cohort, run_until, terms, vectors

from privet.privacy.errors import PrivetError
from privet.privacy.secagg.client import Stage
from privet.privacy.secagg.primitives import SIGNATURE_BYTES
from privet.privacy.secagg.testing import STAGES, Cohort

VICTIM = 2
REFUSED, UNHARMED = "refused", "unharmed"
MESSAGES = {
    "ROSTER": "sharing",
    "ROSTER, re-signed": "sharing",
    "DELIVERY": "masked",
    "SURVIVORS": "cosignature",
    "UNMASK_REQUEST": "shares",
}
# What is not in here is refused.
HARMLESS = {
    # The other one refuses the roster, and so does whoever chooses it or is chosen by it; for the
    # rest it is a device that dropped out.
    ("ROSTER, re-signed", "another's identity"),
    ("ROSTER, re-signed", "another's mask key"),
    ("ROSTER, re-signed", "another's envelope key"),
    ("ROSTER, re-signed", "another's commitment"),
    ("ROSTER, re-signed", "another's signature"),
    # The vector is masked with other devices, says so, and neither the server nor those who hold
    # shares of its mask accept that.
    ("DELIVERY", "sharers"),
    # A share less; threshold of the others are enough.
    ("DELIVERY", "envelope"),
}


def world_before(stage: str) -> tuple[Cohort, dict[int, bytes]]:
    world = cohort(8, min_survivors=7)  # with fewer, all are each other's neighbours
    return world, run_until(world, stage, {"masked": [7]})


def fields_of(message: str) -> Fields:
    world, inbox = world_before(MESSAGES[message])
    if message.startswith("ROSTER"):
        found = roster_fields(terms(min_survivors=7), 8, VICTIM)
        if message != "ROSTER":
            found.pop("server's signature")
        return found
    if message == "DELIVERY":
        return delivery_fields()
    if message == "SURVIVORS":
        return survivors_fields()
    quorum = world.server.roster.parameters.quorum
    return request_fields(quorum, statements=len(inbox[VICTIM]) > 48 + 68 * quorum)


def changes(first: int, size: int) -> list[tuple[int, int]]:
    """Bytes and the bits to flip in them."""
    if size <= 2:
        return [(first + i, 1 << bit) for i in range(size) for bit in range(8)]
    places = sorted({0, 1, size // 3, size // 2, size - 2, size - 1})
    return [(first + i, 128 if i % 2 else 1) for i in places]


def outcome(message: str, at: int, bit: int, *, play_on: bool) -> str:
    stage = MESSAGES[message]
    world, inbox = world_before(stage)
    changed = bytearray(inbox[VICTIM])
    changed[at] ^= bit
    if message == "ROSTER, re-signed":
        unsigned = bytes(changed[:-SIGNATURE_BYTES])
        signed = unsigned + SERVER_KEY.sign(b"roster", sha256(unsigned))
        inbox = dict.fromkeys(inbox, signed)
    else:
        inbox[VICTIM] = bytes(changed)
    refused = deliver(world, stage, inbox)
    if VICTIM in refused:
        assert world.clients[VICTIM].stage is Stage.ABORTED
        assert not world.records[VICTIM].seen
        assert not world.clients[VICTIM]._secrets.seed
    if play_on or VICTIM not in refused:
        finish_exactly(world, stage, gone=refused | {7})
    return REFUSED if VICTIM in refused else UNHARMED


def sha256(data: bytes) -> bytes:
    import hashlib

    return hashlib.sha256(data).digest()


def deliver(world: Cohort, stage: str, inbox: dict[int, bytes]) -> set[int]:
    """Hand messages out; who refuses. An honest server takes what it can use of the answers."""
    rows, refused = vectors(8), set()
    for device, message in sorted(inbox.items()):
        client = world.clients[device]
        try:
            reply = answer(client, stage, message, rows[device])
        except PrivetError:
            refused.add(device)
            continue
        try:
            getattr(world.server, f"accept_{stage}")(reply)
        except PrivetError:
            continue
    return refused


def finish_exactly(world: Cohort, stage: str, gone: set[int]) -> None:
    """Play the round to its end: the sum is exact, or there is none."""
    rows = vectors(8)
    try:
        for later in STAGES[STAGES.index(stage) + 1 :]:
            inbox = world.inbox_before(later, lambda pending: None)
            sendable = {d: m for d, m in inbox.items() if d not in gone or later != "masked"}
            gone = gone | deliver(world, later, sendable)
        aggregate = world.server.finish()
    except PrivetError:
        return
    kept = [i for i, key in enumerate(world.identities) if key.public in aggregate.survivors]
    assert len(kept) >= 5
    assert np.array_equal(aggregate.total, rows[kept].sum(axis=0, dtype=np.uint32))


@cache
def table() -> dict[tuple[str, str], str]:
    """What came of each field of each message; a field is harmless if any change of it is."""
    found = {}
    for message in MESSAGES:
        for name, (first, size) in fields_of(message).items():
            each = {
                outcome(message, at, bit, play_on=i == 0)
                for i, (at, bit) in enumerate(changes(first, size))
            }
            found[message, name] = UNHARMED if UNHARMED in each else REFUSED
    return found


def test_each_tampered_field_of_each_message_is_refused_or_harmless() -> None:
    found = table()
    for (message, name), what in found.items():  # shown by pytest -s
        print(f"  {message:18} {name:28} {what}")
    assert {key for key, what in found.items() if what == UNHARMED} == HARMLESS
    assert len(found) > 60


@pytest.mark.parametrize("message", [m for m in MESSAGES if "re-signed" not in m])
@pytest.mark.parametrize("change", ["empty", "short", "long", "other kind", "twice"])
def test_messages_of_wrong_length_or_kind_are_refused(message: str, change: str) -> None:
    stage = MESSAGES[message]
    world, inbox = world_before(stage)
    sent = inbox[VICTIM]
    other = bytes([*sent[:5], (sent[5] % 9) + 1, *sent[6:]])
    made = {
        "empty": b"",
        "short": sent[:-1],
        "long": sent + b"\0",
        "other kind": other,
        "twice": sent + sent,
    }[change]
    assert deliver(world, stage, {VICTIM: made}) == {VICTIM}


def test_every_test_that_the_docs_name_exists() -> None:
    here = Path(__file__).parent
    text = (here.parents[2] / "docs" / "secure-aggregation.md").read_text()
    code = "".join(path.read_text() for path in here.glob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", text)
    assert len(named) > 15
    assert all(f"def {name}(" in code for name in named)


def rendered(found: dict[tuple[str, str], str]) -> list[str]:
    """The outcome of every field of every message, a line a field, as the document has it."""
    return [f"| {message} | {name} | {what} |" for (message, name), what in found.items()]


def test_the_document_has_the_outcome_of_every_field_of_every_message() -> None:
    text = (Path(__file__).parents[3] / "docs" / "secure-aggregation.md").read_text()
    header = "| message | field | what an honest device does |\n|---|---|---|\n"
    _, _, after = text.partition(header)
    listed = after.partition("\n\n")[0].splitlines()
    assert listed == rendered(table())
