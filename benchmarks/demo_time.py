"""From a fresh clone to a report: what ``make demo`` costs whoever tries Privet first.

Clones the committed state of this repository into a temporary folder, runs ``make demo`` there and
prints a table and, as its last line, one JSON object. Passes if the demo itself takes less than a
minute, leaves a report, and installs none of torch, flwr and ray.

Installing takes longer where the package manager's cache is empty; the benchmark does not empty it.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LIMIT_SECONDS = 60.0
HEAVY = ("torch", "flwr", "ray")
_INSTALLED = "Installed in "  # what the Makefile prints when the environment is ready
_LIST = (
    "import importlib.metadata as m; "
    "print(*sorted({d.metadata['Name'].lower() for d in m.distributions()}))"
)


def main() -> int:
    """Measure, print, and return 0 if it passed."""
    with tempfile.TemporaryDirectory(prefix="privet-demo-") as folder:
        clone = Path(folder) / "privet"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        figures = measure(clone)
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):<{width}}  {value}")
    print(json.dumps(figures))
    return 0 if figures["pass"] else 1


def measure(clone: Path) -> dict[str, Any]:
    """Run ``make demo`` in a clone and look at what it left behind."""
    started = time.monotonic()
    install_seconds, status = _make_demo(clone, started)
    total = time.monotonic() - started
    installed = _packages(clone)
    present = [name for name in HEAVY if name in installed]
    demo_seconds = None if install_seconds is None else total - install_seconds
    report = any(clone.glob("demo-run/report.html"))
    return {
        "benchmark": "demo_time",
        "install_seconds": _rounded(install_seconds),
        "installed_mb": round(_disk_bytes(clone / ".venv") / 1e6, 1),
        "packages": len(installed),
        "heavy_packages": present,
        "demo_seconds": _rounded(demo_seconds),
        "limit_seconds": LIMIT_SECONDS,
        "report": report,
        "exit_code": status,
        "pass": status == 0
        and report
        and not present
        and demo_seconds is not None
        and demo_seconds < LIMIT_SECONDS,
    }


def _make_demo(clone: Path, started: float) -> tuple[float | None, int]:
    """Seconds until everything was installed (None if it never was), and make's exit code."""
    # Neither this process's environment nor any data set may help.
    kept = {k: v for k, v in os.environ.items() if k not in ("PRIVET_DATA", "PYTHONPATH")}
    kept = {k: v for k, v in kept.items() if not k.startswith("MAKE") and k != "MFLAGS"}
    process = subprocess.Popen(
        ["make", "demo"], cwd=clone, env=kept, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdout is not None
    install_seconds = None
    for line in process.stdout:
        if line.startswith(_INSTALLED):
            install_seconds = time.monotonic() - started
        print(line, end="", flush=True)
    return install_seconds, process.wait()


def _packages(clone: Path) -> set[str]:
    """Names of all distributions in the clone's environment, in lower case."""
    python = clone / ".venv" / "bin" / "python"
    if not python.exists():
        return set()
    found = subprocess.run([python, "-c", _LIST], capture_output=True, text=True, check=True)
    return set(found.stdout.split())


def _disk_bytes(folder: Path) -> int:
    """Disk space of all files below a folder, without following links."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


if __name__ == "__main__":
    sys.exit(main())
