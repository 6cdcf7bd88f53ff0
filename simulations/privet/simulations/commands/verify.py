"""``privet verify``."""

import json as jsonlib
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from privet.models.model import state_hash
from privet.privacy.errors import InputError, IntegrityError
from privet.privacy.ledger import Entry, EntryKind
from privet.privacy.report.assemble import adversary_rows
from privet.privacy.report.document import Report
from privet.privacy.report.html import render_html
from privet.privacy.report.population import population_view
from privet.privacy.report.spent import privacy_rows, profiles
from privet.privacy.report.verify import (
    NOT_CHECKED,
    Check,
    read_report,
    verify_ledger,
    verify_report,
)
from privet.privacy.report.view import LedgerView
from privet.server.population import Population
from privet.server.series import SECRETS
from privet.server.storage import DATABASE, RunStore
from privet.simulations.commands import options as o
from privet.simulations.commands.console import console, print_json
from privet.simulations.simulation import RESULT, finite
from privet.simulations.sweep import SWEEP

_REPORT, _HTML, _NOISE_KEY = "report.json", "report.html", "noise.key"


def verify_command(
    path: Annotated[Path, typer.Argument(help="A run's or sweep's folder, or a report.json.")],
    population: o.PopulationOption = None,
    json: o.Json = False,
) -> None:
    """Recompute the hash chain and every epsilon, by two accountants; exit code 5 on a mismatch."""
    entries, checks = verify_path(path)
    if population is not None:
        checks = (*checks, _check_population(path, entries, population))
    if json:
        view = LedgerView(entries=entries)
        print_json(
            {
                "verified": True,
                "privacy": privacy_rows(adversary_rows(view), profiles(view)),
                "checks": [vars(check) for check in checks],
                "not_checked": list(NOT_CHECKED),
            }
        )
        return
    for check in checks:
        console.print(f"[green]ok[/] [bold]{check.name}[/]: {check.found}", soft_wrap=True)
    for text in NOT_CHECKED:
        console.print(f"[yellow]not checked:[/] {text}", soft_wrap=True)


def verify_path(path: Path) -> tuple[tuple[Entry, ...], tuple[Check, ...]]:
    """Verify a report, and the runs behind it if a folder is given.

    Returns:
        The ledger that the figures follow from, and what was checked.

    Raises:
        InputError: Nothing there to verify.
        IntegrityError: Something does not match.
    """
    if path.is_file():
        report = _read(path)
        return _entries(report), verify_report(report)
    if not path.is_dir():
        raise InputError(f"There is no {path}: expected a run's folder or a {_REPORT}.")
    if (path / SWEEP).is_file():
        return _verify_sweep(path)
    if (path / DATABASE).is_file():
        return _verify_run(path)
    raise InputError(f"No run in {path}: expected {DATABASE} and {_REPORT} there.")


def _verify_sweep(directory: Path) -> tuple[tuple[Entry, ...], tuple[Check, ...]]:
    """The sweep's report, and each of its runs, those set aside included."""
    report = _read(directory / _REPORT)
    checks = [*verify_report(report), _check_html(report, directory)]
    ledgers = {}
    for database in sorted(directory.glob(f"*/{DATABASE}")):
        name = database.parent.name
        ledgers[name], of_run = _verify_run(database.parent)
        checks.append(Check(name=f"run {name}", found=f"{len(of_run)} checks"))
    if _entries(report) not in ledgers.values():
        raise IntegrityError("The ledger in the sweep's report is not that of any of its runs.")
    try:
        points = jsonlib.loads((directory / SWEEP).read_bytes())["points"]
        claimed = {
            Path(run).name: point["epsilon"] for point in points for run in point["run_dirs"]
        }
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{directory / SWEEP} is cut off or malformed.") from error
    for name, epsilon in claimed.items():
        if name not in ledgers or LedgerView(entries=ledgers[name]).facts["epsilon"] != epsilon:
            raise IntegrityError(f"{SWEEP} says epsilon {epsilon} of {name}; its run does not.")
    return _entries(report), tuple(checks)


def _verify_run(directory: Path) -> tuple[tuple[Entry, ...], tuple[Check, ...]]:
    """A run's ledger and checkpoint, and what its report and result say of them."""
    with tempfile.TemporaryDirectory(prefix="privet-") as folder:
        # On a copy: reading evidence must not change it, and it may be on a read-only disk.
        for file in directory.glob(f"{DATABASE}*"):
            shutil.copy(file, folder)
        store = RunStore(Path(folder))
        try:
            entries, checkpoint = store.entries, store.checkpoint()
        finally:
            store.close()
    checks = verify_ledger(entries, head=entries[-1].hash, length=len(entries))
    recorded = [entry.body["model_hash"] for entry in entries if entry.kind is EntryKind.END]
    report = _read(directory / _REPORT) if (directory / _REPORT).is_file() else None
    if report is not None:
        checks = verify_report(report)
        if not recorded or _entries(report) != entries:
            raise IntegrityError("The run's ledger is not the one in its report.")
    if not recorded:
        return entries, (*checks, Check(name="report", found="none yet, the run is unfinished"))
    if checkpoint is None or recorded != [state_hash(checkpoint[1])]:
        raise IntegrityError("The run's model is not the one that its ledger recorded.")
    if (directory / _NOISE_KEY).exists():
        raise IntegrityError(
            f"The run has ended, but its {_NOISE_KEY} is still there: whoever has it can subtract "
            "the noise. Finish the run with --resume, which removes it."
        )
    if any(directory.glob(SECRETS)):
        raise IntegrityError(
            "The run has ended, but exact sums of its rounds are still there. Finish the run with "
            "--resume, which removes them."
        )
    model = Check(name="model", found=f"hash {recorded[0][:12]} matches the ledger")
    if report is None:
        found = "none; a simulation's --resume writes it"
        return entries, (*checks, model, Check(name="report", found=found))
    _check_result(directory / RESULT, report, recorded[0])
    return entries, (*checks, model, _check_html(report, directory))


def _check_result(path: Path, report: Report, model_hash: str) -> None:
    """``result.json`` says of privacy what the report says."""
    if not path.is_file():
        return
    try:
        result = jsonlib.loads(path.read_bytes())
        others = result["population"]
        found = (
            result["privacy"],
            result["upload_bytes_per_device"],
            result["model_hash"],
            result["verdict"],
            others and (others["id"], others["spent"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{path} is cut off or malformed.") from error
    rows = privacy_rows(report.adversaries, report.profiles)
    uploads = report.egress.upload_bytes_per_device
    section = report.population
    together = section and (section.population, finite(section.spent))
    if found != (rows, uploads, model_hash, report.verdict, together):
        raise IntegrityError(f"{path} does not say what the run's report says.")


def _check_html(report: Report, directory: Path) -> Check:
    """The page that people read is made from the report, byte by byte."""
    path = directory / _HTML
    if not path.is_file():
        return Check(name=_HTML, found="not there")
    if path.read_bytes() != render_html(report).encode():
        raise IntegrityError(f"{path} is not what {_REPORT} gives: it was edited, or is older.")
    return Check(name=_HTML, found=f"is what {_REPORT} gives")


def _check_population(path: Path, entries: tuple[Entry, ...], place: Path) -> Check:
    """The population's ledger counts the run, and the report's is the beginning of it."""
    if path.is_dir() and not (path / _REPORT).is_file():
        return _check_counted(entries, place)
    section = _read(path if path.is_file() else path / _REPORT).population
    if section is None:
        raise InputError("The report is on a run that is counted in no population.")
    ledger = Population(place)
    try:
        view = ledger.view
    finally:
        ledger.close()
    if view.entries[: section.ledger.length] != population_view(section).entries:
        raise IntegrityError(
            f"The population's ledger in the report is not the beginning of {ledger.path}: one of "
            "them was rewritten or cut off."
        )
    since = len(view.entries) - section.ledger.length
    found = f"begins as in the report; {since} entries since, epsilon {view.spent:.6g} now"
    return Check(name=f"ledger of population {section.name!r}", found=found)


def _check_counted(entries: tuple[Entry, ...], place: Path) -> Check:
    """Every release of a run without a report is in the population's ledger."""
    ledger = Population(place)
    try:
        ledger.resume(entries)
        found = f"counts all releases of this run; epsilon {ledger.view.spent:.6g} now"
        return Check(name=f"ledger of population {ledger.view.opening.name!r}", found=found)
    finally:
        ledger.close()


def _entries(report: Report) -> tuple[Entry, ...]:
    return tuple(Entry.from_dict(dict(entry)) for entry in report.ledger.entries)


def _read(path: Path) -> Report:
    if not path.is_file():
        raise InputError(f"There is no {path}.")
    return read_report(path.read_bytes())
