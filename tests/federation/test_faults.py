"""A few of the benchmark's faults; all of them are ``python benchmarks/faults.py``."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "faults.py"

# Each takes a protection away, and what the benchmark has to say about it.
MUTANTS = {
    "unmasked with 0 charged": """
def mutant(setup, charge):
    kept = []
    found = honest(setup, kept.append)
    charge(kept[0])
    return found
""",
    "the sum of popularity is wrong": """
def mutant(setup, charge):
    found = honest(setup, charge)
    found.groups[0].total[0] += 1
    return found
""",
}
RUN = """
import runpy, sys
from privet.server import protocol_round, remote_fleet
honest = protocol_round.secure_round
{mutant}
remote_fleet.secure_round = mutant
sys.argv = [{benchmark!r}, "--quick", "--only", "nothing"]
sys.path.insert(0, {folder!r})
runpy.run_path({benchmark!r}, run_name="__main__")
"""


@pytest.mark.slow
def test_a_few_faults_of_a_live_federation_end_as_expected() -> None:
    command = [sys.executable, str(BENCHMARK), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["pass"] and figures["faults"] >= 4 and figures["not_run"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("finding", MUTANTS)
def test_the_benchmark_finds_a_late_charge_and_a_wrong_sum(finding: str) -> None:
    code = RUN.format(
        mutant=MUTANTS[finding], benchmark=str(BENCHMARK), folder=str(BENCHMARK.parent)
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout[-3000:] + done.stderr[-3000:]
    assert finding in done.stdout
