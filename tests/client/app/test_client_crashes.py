"""Through the client: killed, racing and starved processes lose nothing that was acknowledged."""

import resource
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path

import numpy as np
from tests.client.app.world import bytes_of, consenting, opened

from privet.client.vault.portable import Contents

WRITES, KILLS = 200, 4

# Uses the client at random, and says each event's number when `record` has returned.
USES = """
import sys, random
from pathlib import Path
from tests.client.app.world import opened
with opened(Path(sys.argv[1]), create=len(sys.argv) > 4) as client:
    print("ready", flush=True)
    sys.stdin.readline()
    client.consent.grant("personalize")
    for number in range(int(sys.argv[2]), int(sys.argv[3])):
        assert client.record("like", f"canary-item-{number}") == "unknown item"
        print(number, flush=True)
        draw = random.random()
        if draw < 0.1:
            client.feedback("hide", item=f"tt{number % 40:04d}")
        elif draw < 0.15:
            client.erase(items=["nobody"])
        elif draw < 0.2:
            client.recommend(3)
        elif draw < 0.3:
            client.record_impressions(["tt0001"])
"""


def started(path: Path, start: int, stop: int, *more: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", USES, str(path), str(start), str(stop), *more],
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
    with opened(path) as client:
        items = [e.item for e in Contents.of(client._parts.vault).events if e.kind == "like"]
        assert client.recommend(3)
    return [int(item.removeprefix("canary-item-")) for item in items]


def test_a_client_killed_at_any_moment_loses_no_acknowledged_event(tmp_path: Path) -> None:
    path = tmp_path / "me.db"
    consenting(path).close()
    rng = np.random.default_rng()
    given: list[int] = []
    for kill in range(KILLS):
        process = started(path, kill * WRITES, (kill + 1) * WRITES)
        time.sleep(float(rng.uniform(0.01, 1.0)))
        process.kill()
        given += acknowledged(process)
        assert b"canary" not in bytes_of(tmp_path)
        found = held(path)
        assert set(given) <= set(found)
        assert len(found) == len(set(found)) <= len(given) + kill + 1  # one may be written, unsaid


def test_two_clients_that_make_and_use_one_store_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "me.db"
    processes = [started(path, start, start + 12, "create") for start in (0, 100)]
    given = [acknowledged(process) for process in processes]
    assert sorted(chain(*given)) == sorted(held(path)) == [*range(12), *range(100, 112)]


def test_a_full_disk_is_said_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "me.db"
    consenting(path).close()
    limit = path.stat().st_size + 40_000

    def no_more() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    run = subprocess.run(
        [sys.executable, "-c", USES, str(path), "100", "3000"],
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


def test_a_crash_while_a_store_is_made_leaves_one_that_can_be_made(tmp_path: Path) -> None:
    path = tmp_path / "me.db"
    path.touch(mode=0o600)
    with consenting(path) as client:
        client.record("like", "tt0001")
    with opened(path) as client:
        assert client.recommend(1)[0].item != "tt0001"
