"""Processes that are killed, race or run out of disk never make a device answer twice."""

import resource
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from tests.client.stores import ANSWERS, PLAN, filled, slot, started

from privet.client.device_store import DeviceStore
from privet.privacy.errors import PrivacyError
from privet.privacy.ledger import EntryKind
from privet.privacy.minimization.agreement import Claim

STEPS, KILLS = 150, 6


def go(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def answers(process: "subprocess.Popen[str]") -> list[int]:
    """The answers that a process gave until it ended; a line that was cut off is not one."""
    out, errors = process.communicate(timeout=60)
    assert errors == ""
    return [int(line) for line in out.splitlines(keepends=True) if line.endswith("\n")]


def claimed(store: DeviceStore) -> list[int]:
    kept = [e.body for e in store.ledger.entries if e.kind is EntryKind.CLAIM]
    return [int(Claim.from_dict(body).step.removeprefix("step ")) for body in kept]


def test_a_process_killed_at_any_moment_loses_no_claim_and_repeats_no_answer(
    tmp_path: Path,
) -> None:
    path = tmp_path / "device.db"
    DeviceStore(path, create=True).close()
    rng = np.random.default_rng()
    given: list[int] = []
    for _ in range(KILLS):
        process = started(path, STEPS)
        go(process)
        time.sleep(float(rng.uniform(0, 0.06)))
        process.kill()
        given += answers(process)
        with DeviceStore(path) as store:  # opens whatever the kill left, and checks the chain
            assert set(given) <= set(claimed(store))
            assert len(claimed(store)) == len(set(claimed(store)))
            for sent in store.ledger.sent:
                with pytest.raises(PrivacyError, match="Another message"):
                    store.ledger.record_sent(sent.slot, b"fresh noise")
    assert len(given) == len(set(given))
    last = started(path, STEPS)
    go(last)
    given += answers(last)
    assert len(given) == len(set(given))
    assert STEPS - KILLS <= len(given) <= STEPS  # a kill between claim and answer costs the answer
    with DeviceStore(path) as store:
        assert sorted(claimed(store)) == list(range(STEPS))


def test_two_processes_on_one_store_answer_each_step_once(tmp_path: Path) -> None:
    path = tmp_path / "device.db"
    DeviceStore(path, create=True).close()
    processes = [started(path, 60) for _ in range(3)]
    for process in processes:
        go(process)
    given = [answers(process) for process in processes]
    assert sorted(chain(*given)) == list(range(60))
    with DeviceStore(path) as store:
        assert sorted(claimed(store)) == list(range(60))


def test_a_file_that_cannot_grow_gives_no_answer_and_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "device.db"
    filled(path)
    limit = path.stat().st_size + 4096

    def no_more() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    run = subprocess.run(
        [sys.executable, "-c", ANSWERS, str(path), "1000"],
        check=False,
        input="go\n",
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        preexec_fn=no_more,
    )
    assert run.returncode == 1
    assert "cannot be written: the disk is full or fails. Nothing was sent." in run.stderr
    given = [int(line) for line in run.stdout.splitlines()[1:]]
    with DeviceStore(path) as store:
        assert set(given) == {sent.slot.round_number for sent in store.ledger.sent} - {0, 1, 2, 3}
        assert set(given) <= set(claimed(store)) <= {*given, *range(4), max(given, default=3) + 1}
        assert store.ledger.resend(slot(max(given, default=3))) is not None
    assert PLAN not in run.stderr
