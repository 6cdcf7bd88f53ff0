"""The checks for apps find what they are for: each has mutants of a client that it must notice."""

import base64
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.client.app.test_client_federation import INVITATION, agreed_by_nobody
from tests.client.app.test_client_federation import opened as opened_for_federation
from tests.client.app.world import CATALOGUE, opened

from privet.client.recording import Recording
from privet.client.testing.checks import (
    ForbiddenConnectionError,
    assert_no_trace,
    check_golden,
    no_connections,
    uploads_of,
)
from privet.client.testing.clock import ManualClock, Moment
from privet.client.testing.store import memory_folder, temporary_client, temporary_folder
from privet.models import invitation as invitations
from privet.models.federation_policy import federation_policy
from privet.privacy.errors import InputError
from privet.privacy.minimization.policy import EgressPolicy, FieldType

ROOT = Path(__file__).parents[3]
CANARY = "canary-in-the-history"


def test_a_client_that_is_used_opens_no_connection_and_leaves_no_trace(tmp_path: Path) -> None:
    with no_connections() as tried, opened(tmp_path / "me.db") as client:
        client.consent.grant("personalize")
        client.record("like", CANARY)
        client.recommend(3)
        assert_no_trace(tmp_path, [CANARY])
    assert_no_trace(tmp_path, [CANARY])
    assert tried == []


def spell(how: str) -> Callable[[str], bytes]:
    return {
        "plain": lambda word: word.encode(),
        "utf-16": lambda word: ("log " + word).encode("utf-16"),
        "hex": lambda word: word.encode().hex().encode(),
        "HEX": lambda word: word.encode().hex().upper().encode(),
        "base64": lambda word: base64.b64encode(f"x{word}, and more".encode()),
    }[how]


@pytest.mark.parametrize("how", ["plain", "utf-16", "hex", "HEX", "base64"])
def test_a_client_that_writes_in_clear_is_noticed(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Recording.record

    def writing(self: Recording, kind: str, item: str = "", **options: Any) -> Any:
        (tmp_path / "debug.log").write_bytes(b"recorded: " + spell(how)(item))
        return honest(self, kind, item, **options)

    monkeypatch.setattr(Recording, "record", writing)
    with opened(tmp_path / "me.db") as client:
        client.consent.grant("personalize")
        client.record("like", CANARY)
    with pytest.raises(AssertionError, match=r"Word 1 is in debug\.log"):
        assert_no_trace(tmp_path, ["nothing of this", CANARY])


@given(before=st.binary(max_size=7), word=st.text(min_size=6, max_size=12), after=st.binary())
def test_a_word_in_base64_is_found_wherever_it_stands(
    before: bytes, word: str, after: bytes
) -> None:
    with temporary_folder() as folder:
        (folder / "file").write_bytes(base64.b64encode(before + word.encode() + after))
        with pytest.raises(AssertionError):
            assert_no_trace(folder, [word])


def test_a_name_of_a_file_is_a_trace_too_and_a_check_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file"):
        assert_no_trace(tmp_path, [CANARY])
    (tmp_path / CANARY).touch()
    with pytest.raises(AssertionError):
        assert_no_trace(tmp_path, [CANARY])
    for words in ([], ["short"]):
        with pytest.raises(InputError, match="6 bytes"):
            assert_no_trace(tmp_path, words)


def test_a_client_that_connects_without_consent_is_noticed_though_it_tells_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def use(name: str) -> None:
        with opened_for_federation(tmp_path / name) as client:
            client.consent.grant("contribute", terms=client.connect(INVITATION).terms)
            client.connect(INVITATION)
            client.consent.withdraw("contribute")
            client.train_if_due(Moment(), seconds=0.5)  # never raises

    with no_connections() as tried:
        use("honest.db")
    assert tried == []
    agreed_by_nobody(monkeypatch)
    with pytest.raises(AssertionError, match="socket"), no_connections():
        use("mutant.db")


def lookup() -> None:
    socket.getaddrinfo("localhost", 80)


def datagram() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.sendto(b"hello", ("127.0.0.1", 9))


def connect() -> None:
    socket.create_connection(("127.0.0.1", 9))


@pytest.mark.parametrize("use", [lookup, datagram, connect])
def test_every_way_out_is_closed_and_open_again_afterwards(use: Callable[[], None]) -> None:
    def forbidden() -> None:
        with pytest.raises(ForbiddenConnectionError):
            use()

    with pytest.raises(AssertionError, match="1 times"), no_connections():
        forbidden()
    with pytest.raises(AssertionError, match="1 times"), no_connections():
        thread = threading.Thread(target=forbidden)
        thread.start()
        thread.join()
    lookup()


def test_what_may_leave_is_told_with_every_field_and_is_the_same_each_time() -> None:
    text = uploads_of(INVITATION)
    assert text == uploads_of(replace(INVITATION, port=10, name="Another"))
    for rule in INVITATION.policy.rules:
        assert f"field {rule.field}:" in text and rule.purpose in text and rule.mechanism in text
    assert uploads_of(replace(INVITATION, answers=4)) != text


def test_an_update_that_adds_a_field_fails_until_it_was_reviewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = tmp_path / "uploads.txt"
    with pytest.raises(AssertionError, match="no reviewed text"):
        check_golden(uploads_of(INVITATION), golden)
    check_golden(uploads_of(INVITATION), golden, update=True)
    check_golden(uploads_of(INVITATION), golden)

    def curious(*args: Any) -> EgressPolicy:
        honest = federation_policy(*args)
        extra = replace(
            honest.rules[0],
            field="age",
            type=FieldType.UINT8,
            shapes={"hello": (1,)},
            purpose="know our users",
        )
        return replace(honest, rules=(*honest.rules, extra))

    monkeypatch.setattr(invitations, "federation_policy", curious)
    with pytest.raises(AssertionError, match=r"\+    purpose: know our users"):
        check_golden(uploads_of(INVITATION), golden)


def test_a_temporary_client_is_the_real_one_and_leaves_nothing() -> None:
    clock = ManualClock()
    parent = memory_folder() or Path(tempfile.gettempdir())
    with temporary_client(CATALOGUE, clock=clock) as client:
        client.consent.grant("personalize")
        client.record("like", "tt0001")
        clock.advance(60)
        assert client.recommend(1) and client.consent.receipts()
        left = list(parent.glob("privet-test-*/me.db"))
    assert left and not any(path.parent.exists() for path in left)


def test_a_clock_and_a_moment_are_what_was_set() -> None:
    clock = ManualClock(5.0)
    assert clock() == 5.0 and clock.advance(2.5) == clock() == 7.5
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InputError):
            clock.advance(wrong)
    moment = Moment(charging=False, unmetered=None)
    assert (moment.idle(), moment.charging(), moment.unmetered()) == (True, False, None)


def test_the_kit_needs_the_core_alone_and_no_code_of_an_app_loads_it() -> None:
    code = (
        "import sys, privet.client.testing.checks, privet.client.testing.clock, "
        "privet.client.testing.store; print(*{name.partition('.')[0] for name in sys.modules})"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    others = {"scipy", "numba", "torch", "dp_accounting", "cryptography", "flwr"}
    assert "numpy" in ran.stdout.split() and not others & set(ran.stdout.split())
    sources = [path for part in ("client", "server") for path in (ROOT / part).rglob("*.py")]
    assert len(sources) > 50
    users = {path for path in sources if "privet.client.testing" in path.read_text()}
    assert {path.parent.name for path in users} <= {"testing"}
