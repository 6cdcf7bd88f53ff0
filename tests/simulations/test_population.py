"""Runs and sweeps on the same users, added up from the command line to the report."""

import json
import shutil
from pathlib import Path

import pytest
from tests.simulations.world import Privet, small_dataset

from privet.privacy.canonical import canonical_bytes
from privet.privacy.errors import BudgetError
from privet.server.coordinator import Coordinator, Phase, Progress
from privet.simulations.data.privet_file import save

RUN = ("--model", "popularity", "--no-references")
SWEEP = (*RUN, "--epsilons", "1,2", "--seeds", "2")


class Killed(BaseException):
    """Not an error that anyone handles."""


def dying_at(patch: pytest.MonkeyPatch, phase: Phase) -> None:
    """Every run dies there."""

    def kill(at: Progress) -> None:
        if at.phase is phase:
            raise Killed

    init = Coordinator.__init__

    def dying(self: Coordinator, **options: object) -> None:
        init(self, **{**options, "observer": kill})  # type: ignore[arg-type]

    patch.setattr(Coordinator, "__init__", dying)


def test_two_runs_cost_more_than_one_and_both_reports_say_so(
    privet: Privet, world: Path, tmp_path: Path
) -> None:
    counted = ("--population", tmp_path / "users", "--population-budget", "10")
    one = privet.json("simulate", world, *RUN, "--out", tmp_path / "one", *counted)
    two = privet.json("simulate", world, *RUN, "--out", tmp_path / "two", *counted, "--validate")
    assert one["population"]["spent"] < two["population"]["spent"]
    assert (two["population"]["runs"], two["population"]["tuning_runs"]) == (2, 1)
    budget = privet.json("budget", tmp_path / "users")
    assert budget["spent"] == two["population"]["spent"]
    assert [run["tuning"] for run in budget["runs"]] == [False, True]
    for name, runs in (("one", 1), ("two", 2)):
        report = json.loads((tmp_path / name / "report.json").read_text())["population"]
        assert len(report["runs"]) == runs and report["budget"] == 10
        page = (tmp_path / name / "report.html").read_text()
        assert "together epsilon" in page and "counted alone" not in page
        checks = privet.json("verify", tmp_path / name, "--population", tmp_path / "users")[
            "checks"
        ]
        assert any("population 'users' against A3" in check["name"] for check in checks)
    shown = privet("budget", tmp_path / "users").out
    assert "2 runs, 2 releases" in shown and "against A3" in shown and "tuning" in shown
    assert "further Gaussian release" in shown


def test_a_run_alone_says_that_it_is(privet: Privet, world: Path, tmp_path: Path) -> None:
    body = privet.json("simulate", world, *RUN, "--out", tmp_path)
    assert body["population"] is None
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["population"] is None
    assert any("counts this run alone" in text for text in report["claim"]["not_protected"])
    assert "counted alone" in (tmp_path / "report.html").read_text()
    answer = privet("verify", tmp_path, "--population", tmp_path)
    assert answer.code == 2


def test_without_a_ledger_or_a_budget_nothing_begins(
    privet: Privet, world: Path, tmp_path: Path
) -> None:
    run = ("simulate", world, *RUN, "--out", tmp_path / "run")
    answer = privet(*run, "--population", tmp_path / "users")
    assert answer.code == 2 and "--population-budget" in answer.complaint
    assert privet(*run, "--population-budget", "3").code == 2
    seeded = (*run, "--population", tmp_path / "users", "--population-budget", "3")
    assert privet(*seeded, "--insecure-seeded-noise").code == 3
    assert not (tmp_path / "run").exists() and not (tmp_path / "users").exists()


def test_a_run_that_does_not_fit_says_what_would_and_that_fits(
    privet: Privet, world: Path, tmp_path: Path
) -> None:
    counted = ("--population", tmp_path / "users")
    privet.json("simulate", world, *RUN, "--out", tmp_path / "one", "--epsilon", "2", *counted,
                "--population-budget", "2.5")  # fmt: skip
    two = ("simulate", world, *RUN, "--out", tmp_path / "two", *counted)
    answer = privet(*two, "--epsilon", "2")
    assert answer.code == BudgetError.exit_code and "2 is spent" in answer.complaint
    assert not (tmp_path / "two").exists()
    fitting = answer.complaint.partition("--epsilon ")[2].split()[0]
    privet.json(*two, "--epsilon", fitting)
    spent = privet.json("budget", tmp_path / "users")["spent"]
    assert 0.98 * 2.5 < spent <= 2.5
    raised = privet.json("simulate", world, *RUN, "--out", tmp_path / "three", *counted,
                         "--epsilon", "2", "--population-budget", "9")  # fmt: skip
    assert raised["population"]["budget"] == 9


def test_an_interrupted_run_goes_on_in_its_population_only(
    privet: Privet, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ("simulate", world, *RUN, "--out", tmp_path / "run")
    counted = ("--population", tmp_path / "users")
    with monkeypatch.context() as patch:
        dying_at(patch, Phase.SUMMED)
        with pytest.raises(Killed):
            privet(*run, *counted, "--population-budget", "10")
    spent = privet.json("budget", tmp_path / "users")["spent"]
    assert privet(*run, "--resume").code == 5
    assert privet(*run, "--resume", *counted).code == BudgetError.exit_code  # of the run
    moved = tmp_path / "moved"
    (tmp_path / "users").rename(moved)
    missing = privet(*run, "--resume", *counted, "--population-budget", "10", "--budget", "9")
    assert missing.code == 2 and not (tmp_path / "users").exists()
    body = privet.json(*run, "--resume", "--population", moved, "--budget", "9")
    assert body["population"]["releases"] == 2 and body["population"]["spent"] > spent
    privet.json("verify", tmp_path / "run")


def test_a_sweep_counts_every_point_and_what_was_set_aside(
    privet: Privet, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = ("sweep", world, *SWEEP, "--out", tmp_path / "sweep", "--population",
             tmp_path / "users.db")  # fmt: skip
    with monkeypatch.context() as patch:
        dying_at(patch, Phase.CHARGED)
        with pytest.raises(Killed):
            privet(*sweep, "--population-budget", "20")
    body = privet.json(*sweep)
    assert len(body["interrupted_runs"]) == 1
    found = body["population"]
    assert (found["runs"], found["tuning_runs"], found["releases"]) == (5, 5, 5)
    alone = [run["spent"] for run in privet.json("budget", tmp_path / "users.db")["runs"]]
    assert max(alone) < found["spent"] < sum(alone)
    assert "counts them together" in body["note"] and "5 runs with 5 releases" in body["note"]
    report = json.loads((tmp_path / "sweep" / "report.json").read_text())
    assert len(report["population"]["runs"]) == 5
    assert privet("verify", tmp_path / "sweep").code == 0
    assert privet.json(*sweep)["population"] == found  # finished points are not run again
    (tmp_path / "users.db").rename(tmp_path / "gone.db")
    assert privet(*sweep, "--population-budget", "20").code == 2
    assert not (tmp_path / "users.db").exists()


def test_a_sweep_that_does_not_fit_is_refused_whole(
    privet: Privet, world: Path, tmp_path: Path
) -> None:
    sweep = ("sweep", world, *SWEEP, "--out", tmp_path / "sweep", "--population", tmp_path)
    answer = privet(*sweep, "--population-budget", "3")
    assert answer.code == BudgetError.exit_code and "4 runs" in answer.complaint
    assert not (tmp_path / "sweep").exists()
    assert privet.json("budget", tmp_path)["runs"] == []


def test_nothing_is_set_aside_where_no_new_run_fits(
    privet: Privet, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = ("--epsilons", "2", "--seeds", "1", "--out", tmp_path / "sweep", "--population", tmp_path)
    with monkeypatch.context() as patch:
        dying_at(patch, Phase.CHARGED)
        with pytest.raises(Killed):
            privet("sweep", world, *RUN, *few, "--population-budget", "2")
    assert privet("sweep", world, *RUN, *few).code == BudgetError.exit_code
    assert [path.name for path in (tmp_path / "sweep").iterdir()] == ["epsilon-2-seed-0"]


@pytest.fixture(scope="module")
def counted_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of one population; the folder of the second."""
    from privet.simulations.cli import run

    folder = tmp_path_factory.mktemp("counted")
    save(small_dataset(), folder / "world.privet")
    for name in ("one", "two"):
        arguments = ["simulate", folder / "world.privet", *RUN, "--out", folder / name,
                     "--population", folder, "--population-budget", "5"]  # fmt: skip
        assert run([str(argument) for argument in arguments]) == 0
    return folder / "two"


def _spent(section: dict[str, object]) -> None:
    section["spent"] = 2.0


def _fewer(section: dict[str, object]) -> None:
    ledger = section["ledger"]
    assert isinstance(ledger, dict)
    ledger["entries"] = ledger["entries"][:-1]
    ledger["length"] -= 1
    ledger["head"] = ledger["entries"][-1]["hash"]


def _guarantee(section: dict[str, object]) -> None:
    rows = section["guarantees"]
    assert isinstance(rows, list)
    rows[2]["epsilon"] = 1.0


def _budget(section: dict[str, object]) -> None:
    section["budget"] = 50.0


def _other_run(section: dict[str, object]) -> None:
    runs = section["runs"]
    assert isinstance(runs, list)
    section["run"] = runs[0]["run"]


@pytest.mark.parametrize("change", [_spent, _fewer, _guarantee, _budget, _other_run])
def test_a_changed_population_in_a_report_does_not_verify(
    privet: Privet, counted_run: Path, tmp_path: Path, change: object
) -> None:
    body = json.loads((counted_run / "report.json").read_text())
    assert privet("verify", counted_run / "report.json").code == 0
    assert callable(change)
    change(body["population"])
    (tmp_path / "report.json").write_bytes(canonical_bytes(body))
    assert privet("verify", tmp_path / "report.json").code == 5


def test_a_report_cannot_leave_its_population_out(
    privet: Privet, counted_run: Path, tmp_path: Path
) -> None:
    from privet.privacy.report.document import Report

    body = json.loads((counted_run / "report.json").read_text())
    body["population"] = None
    del body["sources"]["population"], body["evidence"]["population"]
    body["claim"]["not_protected"] = [
        "Other runs on the same users: this report counts this run alone, and their costs would "
        "add up"
        if "counted in population" in text
        else text
        for text in body["claim"]["not_protected"]
    ]
    Report.from_dict(body)  # it contradicts itself in nothing but the ledger's first entry
    (tmp_path / "report.json").write_bytes(canonical_bytes(body))
    answer = privet("verify", tmp_path / "report.json")
    assert answer.code == 5 and "leaves out the population" in answer.complaint


def test_another_ledger_than_the_reports_is_noticed(
    privet: Privet, world: Path, counted_run: Path, tmp_path: Path
) -> None:
    verify = ("verify", counted_run, "--population")
    checks = privet.json(*verify, counted_run.parent)["checks"]
    assert "0 entries since" in checks[-1]["found"]
    privet.json("simulate", world, *RUN, "--out", tmp_path / "run", "--population", tmp_path,
                "--population-budget", "5")  # fmt: skip
    assert privet(*verify, tmp_path).code == 5


def test_a_population_that_only_counts_has_a_report_too(
    privet: Privet, world: Path, tmp_path: Path
) -> None:
    body = privet.json("simulate", world, *RUN, "--epsilon", "inf", "--out", tmp_path / "run",
                       "--population", tmp_path, "--population-budget", "inf")  # fmt: skip
    assert body["population"]["budget"] is None and body["population"]["spent"] is None
    assert privet("verify", tmp_path / "run").code == 0
    budget = privet.json("budget", tmp_path)
    assert budget["remaining"] is None and "no limit" in budget["stop"]
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["population"]["spent"] == {"text": "infinity", "value": None}
    assert privet("budget", tmp_path).code == 0


def test_bad_input_is_refused_with_its_code(
    privet: Privet, counted_run: Path, tmp_path: Path
) -> None:
    assert privet("budget", tmp_path / "nowhere").code == 2
    assert privet("budget", counted_run / "run.db").code == 5
    assert privet("budget", counted_run / "report.json").code == 5
    cut = tmp_path / "cut.db"
    cut.write_bytes((counted_run.parent / "population.db").read_bytes()[:4096])
    assert privet("budget", cut).code == 5
    shutil.copy(counted_run.parent / "population.db", tmp_path / "population.db")
    assert privet("budget", tmp_path).code == 0
