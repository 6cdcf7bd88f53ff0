"""Processes that are killed, race or run out of disk lose no event that was acknowledged."""

import resource
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path

import numpy as np
from tests.client.vault.world import assert_nothing_clear, bytes_of, fill, made, opened

WRITES, KILLS = 200, 5

# Writes at random, and says each event's number when `record` has returned.
RECORDS = """
import sys, random
from pathlib import Path
from tests.client.vault.world import event, opened
from privet.client.vault.event import Entry, EntryKind
with opened(Path(sys.argv[1])) as vault:
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(int(sys.argv[2]), int(sys.argv[3])):
        vault.record(event(number))
        print(number, flush=True)
        if random.random() < 0.1:
            vault.put(Entry(kind=EntryKind.SETTING, name="last", value=number))
        if random.random() < 0.05:
            vault.rotate_data_key()
        if random.random() < 0.05:
            vault.erase(items=["nobody"])
"""


def started(path: Path, start: int, stop: int) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", RECORDS, str(path), str(start), str(stop)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()
    return process


def acknowledged(process: "subprocess.Popen[str]") -> list[int]:
    out, errors = process.communicate(timeout=120)
    assert errors == ""
    return [int(line) for line in out.splitlines(keepends=True) if line.endswith("\n")]


def held(path: Path) -> list[int]:
    with opened(path) as vault:
        return [int(e.item.removeprefix("canary-item-")) for e in vault.events()]


def test_a_process_killed_at_any_moment_loses_no_acknowledged_event(tmp_path: Path) -> None:
    path = tmp_path / "me.db"
    made(path).close()
    rng = np.random.default_rng()
    given: list[int] = []
    for kill in range(KILLS):
        process = started(path, kill * WRITES, (kill + 1) * WRITES)
        time.sleep(float(rng.uniform(0.01, 0.4)))
        process.kill()
        given += acknowledged(process)
        assert_nothing_clear(tmp_path)
        found = held(path)
        assert set(given) <= set(found)
        assert len(found) == len(set(found)) <= len(given) + kill + 1  # one may be written, unsaid


def test_two_processes_on_one_store_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "me.db"
    made(path).close()
    processes = [started(path, start, start + 15) for start in (0, 100)]
    given = [acknowledged(process) for process in processes]
    assert sorted(chain(*given)) == sorted(held(path)) == [*range(15), *range(100, 115)]


def test_a_full_disk_is_said_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "me.db"
    with made(path) as vault:
        fill(vault)
    limit = path.stat().st_size + 40_000

    def no_more() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    run = subprocess.run(
        [sys.executable, "-c", RECORDS, str(path), "100", "3000"],
        check=False,
        input="go\n",
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        preexec_fn=no_more,
        timeout=120,
    )
    assert run.returncode == 1
    assert "cannot be written: the disk is full or fails." in run.stderr
    assert "canary" not in run.stderr.replace("canary-item-{number}", "")
    given = {int(line) for line in run.stdout.splitlines()[1:]}
    assert given and given <= set(held(path))
    assert b"canary" not in bytes_of(tmp_path)
