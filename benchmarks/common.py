"""What benchmarks share: finding real data, running a plan, printing figures."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from privet.models.model import Model
from privet.privacy.accounting.adversaries import Trust
from privet.simulations.comparison import evaluate_federated
from privet.simulations.data.load import data_root, load
from privet.simulations.evaluation.metrics import Evaluation
from privet.simulations.federation import Federated, Target, federate, plan_for
from privet.simulations.preparation import SplitKind, Task, prepare


def real_task(*parts: str, seed: int = 0, split: SplitKind | None = None) -> Task:
    """A task on a real data set below ``PRIVET_DATA``; ends the benchmark if it is not there."""
    path = data_root().joinpath(*parts)
    if not path.exists():
        sys.exit(f"This benchmark needs {'/'.join(parts)} below PRIVET_DATA ({data_root()}).")
    return prepare(load(path), seed=seed, split=split)


def measure(
    model: Model, task: Task, epsilon: float, trust: Trust, *, delta: float = 1e-5
) -> tuple[Federated, Evaluation]:
    """One federation with real noise in a folder that is removed, and its evaluation."""
    federated = train(model, task, epsilon, trust, delta=delta)
    return federated, evaluate_federated(model, task, federated)


def train(
    model: Model, task: Task, epsilon: float, trust: Trust, *, delta: float = 1e-5
) -> Federated:
    """One federation with real noise in a folder that is removed."""
    plan = plan_for(model, task, Target(epsilon=epsilon, delta=delta, trust=trust))
    with tempfile.TemporaryDirectory(prefix="privet-bench-") as folder:
        return federate(model, task, plan, Path(folder) / "run")


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A plain table for people."""
    cells = [list(map(str, header)), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    for row in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    sys.stdout.flush()


def ask_oracles(kind: str, question: str = "") -> list[dict[str, Any]]:
    """What other libraries say, from the environment that `make oracles` made for this kind.

    Args:
        kind: A kind that `oracles.py` knows.
        question: Its input.

    Returns:
        One answer a library, as `oracles.py` prints them; one that says why if there is none.
    """
    folder = Path(__file__).resolve().parent
    python = folder.parent / ".venv-oracles" / kind / "bin" / "python"
    if not python.exists():
        return [{"library": f"all of {kind}", "error": "not installed; run: make oracles"}]
    ran = subprocess.run(
        [python, folder / "oracles.py", kind],
        input=question,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode != 0:
        reason = ran.stderr.strip().splitlines()[-1:] or ["no reason given"]
        return [{"library": f"all of {kind}", "error": reason[0]}]
    answers: list[dict[str, Any]] = json.loads(ran.stdout.splitlines()[-1])
    return answers


def finish(figures: Mapping[str, Any], *, passed: bool) -> None:
    """The last line: one JSON object with the figures and whether every bar was met."""
    print(json.dumps({**figures, "pass": passed}))
