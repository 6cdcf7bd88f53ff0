"""Stores, and a process that takes part until it is killed."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from privet.client.device_store import DeviceStore
from privet.privacy.minimization.agreement import Limits
from privet.privacy.minimization.egress_log import EgressLedger
from privet.privacy.minimization.sending import Slot

PLAN = "ab" * 32
ONE_DEVICE = np.array([0], np.int64)

# Claims step after step, and says each one's number when the claim has returned: that is the moment
# from which on an answer could leave. Each answer is recorded as sent as well.
ANSWERS = """
import sys
from pathlib import Path
from tests.client.stores import answer
from privet.client.device_store import DeviceStore
from privet.privacy.errors import PrivacyError
with DeviceStore(Path(sys.argv[1])) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(int(sys.argv[2])):
        try:
            answer(store.ledger, number)
        except PrivacyError:
            continue
        print(number, flush=True)
"""


def answer(ledger: EgressLedger, number: int, message: bytes = b"") -> None:
    """Take part in one step, once, and record the answer."""
    ledger.claim(plan_hash=PLAN, step=f"step {number}", devices=ONE_DEVICE, limits=Limits())
    ledger.record_sent(slot(number), message or b"answer %d" % number)


def slot(number: int = 0, stage: str = "masked") -> Slot:
    """The place of an answer."""
    return Slot(run="run", round_number=number, stage=stage)


def started(path: Path, steps: int) -> "subprocess.Popen[str]":
    """A process that has opened the store and waits for a line before it answers."""
    process = subprocess.Popen(
        [sys.executable, "-c", ANSWERS, str(path), str(steps)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def as_after_a_crash(path: Path, to: Path) -> DeviceStore:
    """The store as a crash at this moment leaves it: the file, without what a process holds."""
    shutil.copyfile(path, to)
    to.chmod(0o600)
    return DeviceStore(to)


def filled(path: Path) -> None:
    """Make a store with some of everything in it."""
    with DeviceStore(path, create=True) as store:
        for number in range(4):
            answer(store.ledger, number)
        store.ledger.record_unmasked(b"r" * 32, b"n" * 32)


def limit_pages(store: Any, more: int = 0) -> None:
    """Let the disk be full: the file cannot grow by more than some pages."""
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count={pages + more}").close()
