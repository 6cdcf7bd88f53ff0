"""``privet simulate``: what does privacy cost this recommender, on this data?"""

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from privet.models.model import Model
from privet.models.plan import Plan
from privet.models.popularity import Popularity
from privet.models.spectral import Spectral
from privet.privacy.errors import InputError, IntegrityError
from privet.server.coordinator import Observer
from privet.simulations.comparison import Row, evaluate_federated, reference_rows
from privet.simulations.federation import Federated, Target, federate, plan_for
from privet.simulations.preparation import Task
from privet.simulations.reporting import build_report, write_report

MODELS: Mapping[str, Callable[[], Model]] = {"popularity": Popularity, "spectral": Spectral}
_STATE = "simulation.json"
RESULT = "result.json"


def model_named(name: str) -> Model:
    """A model with its default hyper-parameters.

    Raises:
        InputError: No such model.
    """
    if name not in MODELS:
        raise InputError(f"Unknown model {name!r}; known: {', '.join(sorted(MODELS))}.")
    return MODELS[name]()


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a person asks of a simulation.

    Attributes:
        target: Privacy.
        seed: Of splits, and of noise if ``insecure_seeded_noise``.
        insecure_seeded_noise: Noise follows from the seed: NOT PRIVATE, for tests.
        budget: Limit on epsilon in the ledger; the target's epsilon if None.
        references: Whether to measure the reference rows as well.
        command: What to type to run it again, for the report.
    """

    target: Target
    seed: int = 0
    insecure_seeded_noise: bool = False
    budget: float | None = None
    references: bool = True
    command: str = "privet simulate"


@dataclass(frozen=True, kw_only=True)
class Watcher:
    """Callbacks for whoever watches a simulation.

    Attributes:
        planned: The plan, before anything runs.
        observer: Each phase of a round.
        on_devices: Devices done in a round.
        on_row: Each row of the table, once measured.
    """

    planned: Callable[[Plan], None] = lambda _: None
    observer: Observer = lambda _: None
    on_devices: Callable[[int], None] = lambda _: None
    on_row: Callable[[Row], None] = lambda _: None


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """What a simulation found.

    Attributes:
        federated: The run.
        rows: The federated model first, then the references.
        run_dir: Where everything is.
        seconds: Wall time of this process's share: federation and evaluation, then references.
    """

    task: Task
    federated: Federated
    rows: tuple[Row, ...]
    run_dir: Path
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The documented JSON of ``privet simulate --json``."""
        facts = self.federated.plan.facts
        measured = self.rows[0].evaluation.to_dict()["metrics"]
        assert isinstance(measured, dict)
        return {
            "model": self.federated.plan.model,
            "data": self.task.name,
            "split": self.task.split,
            "trust": str(facts.trust),
            "metrics": {name: estimate["mean"] for name, estimate in measured.items()},
            "intervals": {name: [e["low"], e["high"]] for name, e in measured.items()},
            "references": {
                row.name: {name: e.mean for name, e in row.evaluation.metrics.items()}
                for row in self.rows[1:]
            },
            "privacy": [
                {"adversary": str(g.adversary), "epsilon": g.epsilon, "delta": g.delta}
                for g in self.federated.guarantees
            ],
            "private": any(g.epsilon is not None for g in self.federated.guarantees),
            "users": facts.devices,
            "items": facts.items,
            "upload_bytes_per_device": self.federated.plan.upload_bytes,
            "seconds": round(self.seconds, 3),
            "peak_rss_mb": round(peak_rss_mb(), 1),
            "run_dir": str(self.run_dir),
            "model_hash": self.federated.model_hash,
        }


def peak_rss_mb() -> float:
    """Largest resident size of this process so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def simulate(
    model: Model,
    task: Task,
    options: Options,
    run_dir: Path,
    *,
    resume: bool = False,
    watcher: Watcher | None = None,
) -> Result:
    """Run a federation, measure it beside its references, and write the report.

    Args:
        model: To train.
        task: Devices' data and held-out events.
        options: Privacy target, seed and so on.
        run_dir: For the ledger, the checkpoint, the result and the report.
        resume: Go on with the run that is there, which must have the same data and options.
        watcher: For progress.

    Raises:
        PrivetError: Any; what was charged stays charged.
    """
    watch = watcher or Watcher()
    started = time.monotonic()
    plan = plan_for(model, task, options.target, seeded_noise=options.insecure_seeded_noise)
    watch.planned(plan)
    _remember(run_dir, task, options.seed, resume=resume)
    federated = federate(
        model,
        task,
        plan,
        run_dir,
        resume=resume,
        seed=options.seed if options.insecure_seeded_noise else None,
        budget=options.budget,
        observer=watch.observer,
        on_devices=watch.on_devices,
    )
    rows = [_federated_row(model, task, federated)]
    watch.on_row(rows[0])
    if options.references:
        for row in reference_rows(model, task, options.target):
            rows.append(row)
            watch.on_row(row)
    write_report(
        build_report(federated.entries, task, rows, command=options.command), run_dir
    )
    result = Result(
        task=task,
        federated=federated,
        rows=tuple(rows),
        run_dir=run_dir,
        seconds=time.monotonic() - started,
    )
    (run_dir / RESULT).write_text(json.dumps(result.to_dict(), indent=2) + "\n")
    return result


def _federated_row(model: Model, task: Task, federated: Federated) -> Row:
    known = [g.epsilon for g in federated.guarantees if g.epsilon is not None]
    return Row(
        name=f"federated {model.name}" + (", private" if known else ", no privacy"),
        kind="private" if known else "no privacy",
        epsilon=max(known) if known else None,
        evaluation=evaluate_federated(model, task, federated),
    )


def _remember(run_dir: Path, task: Task, seed: int, *, resume: bool) -> None:
    """Record which data a run is on; on resume check that it is the same.

    The plan cannot hold it: it is published, and a hash of private data is not for publishing.
    """
    state = {"fingerprint": task.fingerprint, "seed": seed}
    path = run_dir / _STATE
    if not resume:
        run_dir.mkdir(parents=True, exist_ok=True)
        if not (run_dir / "run.db").exists():
            path.write_text(json.dumps(state) + "\n")
        return
    try:
        recorded = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"No simulation to resume in {run_dir}.") from error
    if recorded != state:
        raise IntegrityError(
            "This run was started on other data or with another seed. Resume it with the same, or "
            "start a new run elsewhere."
        )
