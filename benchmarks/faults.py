"""The fault matrix of a live federation: what is killed, full, slow or wrong, and what comes of it.

A stock SuperLink with TLS and node authentication on loopback, embedded devices in three processes,
a server in another, real secure aggregation, a round of Popularity. For every fault the table
has what was expected and what was seen. Whatever the fault: each sum is that of the survivors'
integers as a simulation has it (noise follows from a seed, which changes nothing but that it is
known), no share is asked for before its charge is on the disk, epsilon stays within what was
allowed, and the run comes to its end.

Delay and loss are those of a relay of TCP connections; and of the kernel, in a network namespace of
its own, as far as it has ``netem`` or a token bucket that drops what is too much. The table says
which. ``--quick`` has a few faults, fewer devices and shorter deadlines, ``--only WORD`` the
faults whose names have the word. Prints a table and, as its last line, one JSON object.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from common import finish, table
from fault_cases import Case, cases
from fault_scene import Scene, World
from tests.superlink import superlink

from privet.privacy.minimization.flower_environment import quiet_flower

QUICK_PATIENCE = 12.0
DISCIPLINES = ("netem delay 40ms 10ms loss 1%", "tbf rate 1mbit burst 3kb limit 4500")
QUICK = (
    ("server killed", "unmask"),
    ("a third killed", "mask"),
    ("SuperLink killed", "mask"),
    ("connections cut (relay)", "all"),
)


def main() -> int:
    """Run the matrix; 0 if all was as expected."""
    arguments = _arguments()
    quiet_flower()
    started = time.monotonic()
    chosen = [case for case in cases() if arguments.only in f"{case.fault}, {case.stage}"]
    if arguments.quick and not arguments.only:
        chosen = [case for case in chosen if (case.fault, case.stage) in QUICK]
    rows: list[tuple[str, ...]] = []
    wrong: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory(prefix="privet-faults-") as name:
        folder = Path(name)
        with superlink(folder) as link:
            world = (
                World(link=link, devices=6, patience=QUICK_PATIENCE)
                if arguments.quick
                else World(link=link, devices=arguments.devices)
            )
            for number, case in enumerate(chosen):
                began = time.monotonic()
                seen, bad = play(case, world, folder / f"case-{number}", keep=arguments.keep)
                ok = "not run" if bad is None else "WRONG" if bad else "ok"
                seconds = f"{time.monotonic() - began:.0f}"
                rows.append((case.fault, case.stage, case.expected(world), seen, seconds, ok))
                print(f"{number + 1}/{len(chosen)}", *rows[-1], *(bad or ()), sep=" | ", flush=True)
                if bad:
                    wrong[f"{case.fault}, {case.stage}"] = bad
    if not arguments.quick and arguments.only in "kernel":
        rows += kernel_network()
    print()
    table(("fault", "stage", "expected", "seen", "s", "ok"), rows)
    for fault, bad in wrong.items():
        print(f"WRONG: {fault}: {'; '.join(bad)}")
    figures = {
        "benchmark": "faults",
        "devices": world.count,
        "faults": len(rows),
        "not_run": sum(row[-1] == "not run" for row in rows),
        "wrong": sum(row[-1] == "WRONG" for row in rows),
        "seconds": round(time.monotonic() - started, 1),
    }
    passed = bool(rows) and not figures["wrong"]
    finish(figures, passed=passed)
    return 0 if passed else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few faults, 6 devices")
    parser.add_argument("--only", default="", help="faults whose name or stage has this word")
    parser.add_argument("--devices", type=int, default=9, help="a multiple of 3")
    parser.add_argument("--keep", type=Path, help="keep the files of what went wrong here")
    return parser.parse_args()


def play(case: Case, world: World, folder: Path, keep: Path | None) -> tuple[str, list[str] | None]:
    """One fault; what was seen, and what was wrong with it, None if it could not be played."""
    folder.mkdir()
    scene = Scene(world=world, folder=folder)
    try:
        reason = case.prepare(scene)
        if reason:
            return reason, None
        outcomes = scene.run(case)
        seen, bad = case.judge(scene, outcomes)
    finally:
        scene.close()
    if bad and keep is not None:
        shutil.copytree(folder, keep / folder.name, dirs_exist_ok=True)
    return seen, bad


def kernel_network() -> list[tuple[str, ...]]:
    """Loss and delay by the kernel, in a network namespace of its own, as far as they can be had."""
    rows: list[tuple[str, ...]] = []
    for discipline in DISCIPLINES:
        began = time.monotonic()
        seen, ok = _through(discipline)
        seconds = f"{time.monotonic() - began:.0f}"
        row = (f"kernel: tc {discipline}", "all", "as without a fault", seen, seconds, ok)
        print(*row, sep=" | ", flush=True)
        rows.append(row)
    return rows


def _through(discipline: str) -> tuple[str, str]:
    """What was seen of no other fault than this queueing discipline, and whether that is right."""
    if shutil.which("unshare") is None or shutil.which("tc") is None:
        return "there is no unshare(1) or tc(8) here", "not run"
    # Frames as on a real link: loopback's own are larger than what a bucket lets through at once.
    setup = f"ip link set lo up mtu 1500 && tc qdisc add dev lo root {discipline}"
    script = f'{setup} || exit 3; "$@"; code=$?; tc -s qdisc show dev lo >&2; exit $code'
    command = [sys.executable, __file__, "--only", "nothing"]
    done = subprocess.run(
        ["unshare", "-n", "sh", "-c", script, "sh", *command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )
    if not done.stdout:
        said = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        return f"this kernel has none: {said[0]}", "not run"
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    lines: Sequence[str] = [line for line in done.stdout.splitlines() if line.startswith("1/")]
    counted = re.search(r"Sent \d+ bytes (\d+) pkt \(dropped (\d+)", done.stderr)
    packets, dropped = counted.groups() if counted else ("?", "?")
    seen = lines[0].split(" | ")[4] if lines else "nothing"
    return f"{seen}; {dropped} of {packets} packets dropped", "ok" if figures["pass"] else "WRONG"


if __name__ == "__main__":
    sys.exit(main())
