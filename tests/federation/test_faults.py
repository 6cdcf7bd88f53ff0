"""A few of the benchmark's faults; all of them are ``python benchmarks/faults.py``."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
def test_a_few_faults_of_a_live_federation_end_as_expected() -> None:
    command = [sys.executable, str(BENCHMARKS / "faults.py"), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["pass"] and figures["faults"] >= 4 and figures["not_run"] == 0
