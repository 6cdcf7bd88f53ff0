"""Where a federation is, from its directory alone, whether a server runs on it or not."""

from collections import Counter
from dataclasses import asdict
from typing import Any

from privet.privacy.accounting.accountants import claimed_epsilon
from privet.privacy.accounting.adversaries import events_of
from privet.privacy.ledger import EntryKind, charges, closed_steps
from privet.server.operation.certificates import valid_until
from privet.server.operation.directory import Directory
from privet.server.storage import RunStore


def status_of(directory: Directory) -> dict[str, Any]:
    """The whole of it as plain JSON values; infinite epsilons are None.

    Raises:
        IntegrityError: Something in the directory is damaged.
    """
    settings, fixed = directory.settings, directory.fixed
    certificate = (directory.path / "tls" / "server.pem").read_bytes()
    devices, registry = directory.devices(), directory.registry()
    try:
        held = Counter(device.version for device in devices.all)
        enrolled = sum(held.values())
        rollout = asdict(registry.rollout)
    finally:
        devices.close()
        registry.close()
    return {
        "name": settings.federation.name,
        "serving": directory.served,
        "plan_hash": directory.invitation.plan.hash if fixed else None,
        "devices": {
            "enrolled": enrolled,
            "planned": settings.federation.devices,
            "needed": directory.invitation.plan.facts.fewest_devices if fixed else None,
            "by_model": {str(v): n for v, n in sorted(held.items(), key=str) if v is not None},
        },
        "population": _population(directory) if fixed else None,
        "run": _run(directory),
        "rollout": rollout,
        "certificate_until": valid_until(certificate).isoformat(),
    }


def models_of(directory: Directory) -> dict[str, Any]:
    """Every version of the model, and what is in force."""
    registry = directory.registry()
    try:
        rollout = registry.rollout
        return {
            "models": [
                {**version.to_dict(), "rolled_out": version.version in registry.tried}
                for version in registry.versions
            ],
            "stable": rollout.stable,
            "candidate": rollout.candidate,
            "permille": rollout.permille,
            "head": registry.entries[-1].hash,
            "length": len(registry.entries),
        }
    finally:
        registry.close()


def _population(directory: Directory) -> dict[str, Any]:
    population = directory.population()
    try:
        view = population.view
    finally:
        population.close()
    return {
        "epsilon": view.spent,
        "budget": view.budget,
        "runs": len(view.runs),
        "releases": len(view.spends),
        "witness": f"{len(view.entries)}:{view.entries[-1].hash}",
    }


def _run(directory: Directory) -> dict[str, Any] | None:
    """Where the last run is; None if there is none."""
    if not directory.runs:
        return None
    folder = directory.runs[-1]
    store = RunStore(folder)
    try:
        entries = store.entries
    finally:
        store.close()
    paid = charges(entries)
    terms = events_of([charge.terms for charge in paid]) or ()
    return {
        "number": int(folder.name),
        "steps": len(directory.invitation.plan.steps),
        "closed": len(closed_steps(entries)),
        "charged": len(paid),
        "epsilon": claimed_epsilon(terms, directory.invitation.plan.facts.delta),
        "budget": [e.body["epsilon"] for e in entries if e.kind is EntryKind.BUDGET][-1],
        "groups": directory.invitation.plan.facts.groups,
        "spoiled_groups": {
            entry.body["step"]: entry.body["spoiled_groups"]
            for entry in entries
            if entry.kind is EntryKind.CLOSE and "spoiled_groups" in entry.body
        },
        "finished": any(entry.kind is EntryKind.END for entry in entries),
    }
