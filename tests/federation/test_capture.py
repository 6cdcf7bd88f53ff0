"""Whoever listens on the network reads nothing, and nobody but the server is spoken to."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.federation.capture import in_namespace, why_not

ROOT = Path(__file__).parents[2]


def captured(folder: Path, mode: str) -> dict[str, Any]:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    command = [sys.executable, "-m", "tests.federation.captured_run", str(folder), mode]
    done = subprocess.run(
        in_namespace(command),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.mark.slow
def test_a_run_shows_no_plaintext_and_speaks_to_its_server_only(tmp_path: Path) -> None:
    seen = captured(tmp_path, "honest")
    assert seen["outcome"] == "finished"
    assert seen["packets"] > 500 and seen["bytes"] > 100_000 and seen["connections"] > 4
    assert seen["readable"] == []
    assert seen["strangers"] == []
    assert seen["connected"] == []


@pytest.mark.slow
def test_the_capture_sees_what_leaks_and_who_else_is_spoken_to(tmp_path: Path) -> None:
    seen = captured(tmp_path, "leaking")
    assert seen["readable"] == [name for name in seen["readable"] if name in seen["searched"]]
    assert sorted(seen["readable"]) == seen["searched"]
    assert "udp 198.51.100.7:53" in seen["strangers"]
    assert "socket.sendto 198.51.100.7:53" in seen["connected"]
    assert any(name.startswith("tcp 127.0.0.1:") for name in seen["strangers"])
