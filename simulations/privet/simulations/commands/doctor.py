"""``privet doctor``: is everything here that Privet needs, and does it work?"""

import importlib.metadata
import importlib.util
import math
import os
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import typer

from privet.privacy.accounting.accountants import check_agreement
from privet.privacy.accounting.events import GaussianEvent
from privet.privacy.randomness import Randomness
from privet.privacy.samplers import sample_skellam
from privet.simulations.commands import options as o
from privet.simulations.commands.console import console, print_json
from privet.simulations.data.load import data_root


def doctor(json: o.Json = False) -> None:
    """Check versions, noise, accountants, disk and data; exit code 1 if something is wrong."""
    results = []
    for name, check in _CHECKS.items():
        try:
            found, fine = check()
        except Exception as error:  # noqa: BLE001 - a broken part must not hide the others
            found, fine = f"{type(error).__name__}: {error}", False
        results.append({"check": name, "ok": fine, "found": found})
    healthy = all(bool(result["ok"]) for result in results)
    if json:
        print_json({"healthy": healthy, "checks": results})
    else:
        for result in results:
            mark = "[green]ok[/]" if result["ok"] else "[red]wrong[/]"
            console.print(f"{mark} [bold]{result['check']}[/]: {result['found']}", soft_wrap=True)
    if not healthy:
        raise typer.Exit(1)


def _versions() -> tuple[str, bool]:
    packages = ("privet", "numpy", "scipy", "cryptography", "dp-accounting", "typer", "rich")
    found = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    return f"Python {platform.python_version()}, {found}", True


def _randomness() -> tuple[str, bool]:
    first, second = os.urandom(32), os.urandom(32)
    return "the operating system's generator answers", first != second


def _noise() -> tuple[str, bool]:
    """The variance of 100,000 draws is within five standard errors, or 6e-7 false alarms."""
    draws = sample_skellam(400.0, 100_000, Randomness.secret().stream("doctor"))
    ratio = float(np.var(draws)) / 400.0
    return f"Skellam variance {ratio:.3f} of the nominal", abs(ratio - 1) < 5 * math.sqrt(2e-5)


def _accountants() -> tuple[str, bool]:
    accounts = check_agreement([GaussianEvent(noise_multiplier=0.5)], 1e-6)
    return ", ".join(f"{a.name} {a.epsilon:.4f}" for a in accounts), True


def _disk() -> tuple[str, bool]:
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"x")
        file.flush()
        os.fsync(file.fileno())
    return "writes are durable as far as the system says", True


def _data() -> tuple[str, bool]:
    root = data_root()
    found = sorted(p.name for p in root.iterdir() if p.is_dir()) if root.is_dir() else []
    shown = ", ".join(found) if found else "none (set PRIVET_DATA; the demo needs none)"
    return f"data sets in {Path(root).name}: {shown}", True


def _network() -> tuple[str, bool]:
    flower = importlib.util.find_spec("flwr") is not None
    return "no telemetry and no update checks" + ("; flwr is installed" if flower else ""), True


_CHECKS: dict[str, Callable[[], tuple[str, bool]]] = {
    "versions": _versions,
    "randomness": _randomness,
    "noise": _noise,
    "accountants": _accountants,
    "disk": _disk,
    "data": _data,
    "network": _network,
}
