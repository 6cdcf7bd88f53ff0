"""A few of the benchmark's kills; all of them are ``python benchmarks/crash_resume.py``."""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "crash_resume.py"


def test_a_killed_run_resumes_with_every_release_charged() -> None:
    command = [sys.executable, str(BENCHMARK), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    figures = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 0, done.stdout
    assert figures["pass"]
    assert figures["kills"] >= 4
