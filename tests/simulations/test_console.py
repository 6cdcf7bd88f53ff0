"""What people see: a demo, tables that fit, live progress, and silence for scripts."""

import io
import json
import sys
from pathlib import Path

import pytest
import typer
from rich.console import Console
from tests.simulations.world import Privet, small_dataset

from privet.models.known import model_named
from privet.privacy.report.text import percent_up
from privet.server.coordinator import Phase
from privet.server.coordinator import Progress as RoundProgress
from privet.simulations.cli import app
from privet.simulations.commands import console as shown
from privet.simulations.commands import demo
from privet.simulations.commands.console import LiveProgress, quality_table
from privet.simulations.comparison import Row
from privet.simulations.evaluation.intervals import Estimate
from privet.simulations.federation import Target, plan_for
from privet.simulations.preparation import prepare

ORDER = [
    "popularity",
    "local only",
    "federated, private",
    "federated, no privacy",
    "centralised (EASE)",
]


def test_the_demo_ends_with_the_table_and_the_report(privet: Privet, tmp_path: Path) -> None:
    answer = privet("demo", "--out", tmp_path / "demo")
    assert answer.code == 0
    assert answer.err == "", "quiet where nobody watches"
    *_, last = lines = answer.out.rstrip().splitlines()
    assert last == f"Report: {tmp_path / 'demo/report.html'}"
    assert [line.split("  ")[0] for line in lines[-6:-1]] == ORDER
    assert max(len(line) for line in lines if "/" not in line) <= 80
    body = json.loads((tmp_path / "demo/result.json").read_text())
    worst = max(dict(row["true_positive_rates"]).get(0.01, 0) for row in body["privacy"])
    (line,) = [line for line in lines if "false alarms" in line]
    assert line.endswith(f"in at most {percent_up(worst)} of cases")
    scores = {row["name"]: row["metrics"]["ndcg@20"]["mean"] for row in body["rows"]}
    assert scores["federated, private"] > 1.2 * scores["popularity"]
    assert scores["federated, no privacy"] > scores["federated, private"]
    report = json.loads((tmp_path / "demo/report.json").read_text())
    assert len({point["epsilon"] for point in report["quality"]["curve"]}) == 5
    assert privet("verify", tmp_path / "demo").code == 0


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_with_all_metrics(width: int) -> None:
    estimate = Estimate(mean=0.3265, low=0.31, high=0.34, users=100)
    names = ("recall@20", "ndcg@20", "hr@10", "sampled_hr@10", "sampled_ndcg@10")
    metrics = dict.fromkeys(names, estimate)
    rows = [Row(name=n, kind="reference", epsilon=0.1234, metrics=metrics) for n in ORDER]
    out = io.StringIO()
    Console(file=out, width=width).print(quality_table(rows, width=width))
    lines = out.getvalue().rstrip().splitlines()
    assert len(lines) == len(rows) + 2, "a header of two lines, and nothing wrapped"
    assert max(map(len, lines)) <= width
    assert ("±" in out.getvalue()) == (width > 110)
    assert "…" not in out.getvalue()


def test_live_progress_shows_round_budget_speed_and_quality() -> None:
    out = io.StringIO()
    live = LiveProgress(Console(file=out, force_terminal=True, width=120))
    task = prepare(small_dataset(), seed=0)
    plan = plan_for(model_named("popularity"), task, Target(epsilon=1.0))
    live.planned(plan)
    at = RoundProgress(
        phase=Phase.ALLOWED,
        step="popularity",
        index=0,
        steps=1,
        epsilon_spent=0.25,
        budget=1.0,
        seconds=0.0,
    )
    live.observer(at)
    live.on_devices(150)
    live._progress.refresh()
    estimate = Estimate(mean=0.3265, low=0.31, high=0.34, users=100)
    live.on_row(Row(name="federated", kind="private", epsilon=1.0, metrics={"ndcg@20": estimate}))
    live._progress.refresh()
    live.stop()
    for text in ("round 1/1 popularity", "epsilon 0.25 of 1", "devices/s", "NDCG@20 0.3265"):
        assert text in out.getvalue()


def test_progress_is_shown_only_where_somebody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert not shown.quiet(as_json=False)
    assert shown.quiet(as_json=True)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert shown.quiet(as_json=False)


def test_every_command_has_json(
    privet: Privet, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "_EPSILONS", (2.0,))
    run = tmp_path / "run"
    arguments: dict[str, tuple[object, ...]] = {
        "doctor": (),
        "simulate": (world, "--model", "popularity", "--no-references", "--out", run,
                     "--population", tmp_path, "--population-budget", "9"),
        "budget": (tmp_path,),
        "verify": (run,),
        "sweep": (world, "--model", "popularity", "--epsilons", "2", "--seeds", "1",
                  "--no-references", "--out", tmp_path / "sweep"),
        "demo": ("--users", "500", "--out", tmp_path / "demo"),
        "data describe": (world,),
        "data import": (world, "--out", tmp_path / "copy.privet"),
        "data synthesize": ("--users", "20", "--items", "30", "--out", tmp_path / "s.privet"),
    }  # fmt: skip
    command = typer.main.get_command(app)
    # Those of a federation need one: tests/server/operation asks each of them for its JSON.
    groups = {"data", "server", "client"}
    names = set(command.commands) - groups  # type: ignore[attr-defined]
    names |= {f"data {name}" for name in command.commands["data"].commands}  # type: ignore[attr-defined]
    assert names == set(arguments)
    for name, values in arguments.items():
        assert privet.json(*name.split(), *values), name


def test_the_report_says_what_was_typed_without_folders(
    privet: Privet, world: Path, tmp_path: Path
) -> None:
    privet.json("simulate", world, "--model", "popularity", "--no-references",
                f"--out={tmp_path / 'run'}")  # fmt: skip
    report = json.loads((tmp_path / "run/report.json").read_text())
    typed = report["identity"]["reproduction_command"]
    assert typed == (
        "privet simulate world.privet --model popularity --no-references --out=run --json"
    )
