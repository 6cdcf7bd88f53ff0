"""The items that a federation counts by: those of the catalogue with which the device joined.

An app's catalogue grows; a plan's does not. Both are public.
"""

import json
import os
from pathlib import Path

from privet.models.catalogue import Catalogue
from privet.models.plan import Plan
from privet.privacy.errors import InputError, IntegrityError

_ITEMS = "items.json"


def keep_items(folder: Path, catalogue: Catalogue) -> None:
    """Keep the identifiers of a catalogue in a device's directory; for its owner only."""
    data = json.dumps(list(catalogue.item_ids)).encode()
    partial = folder / f"{_ITEMS}.partial"
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / _ITEMS)


def agreed_items(folder: Path, plan: Plan, catalogue: Catalogue) -> Catalogue:
    """The catalogue that a plan counts by.

    Args:
        folder: Of the device.
        plan: That the user agreed to.
        catalogue: The app's by now.

    Raises:
        InputError: Nobody knows: the device joined with another one, and a crash came between.
        IntegrityError: What was kept is damaged.
    """
    if plan.catalogue_hash == catalogue.hash:
        return catalogue
    try:
        found = json.loads((folder / _ITEMS).read_bytes())
    except FileNotFoundError:
        raise InputError(
            "The federation counts by another catalogue than this client has. Open the client once "
            "with the federation's."
        ) from None
    except (OSError, ValueError, RecursionError):
        found = None
    good = isinstance(found, list) and all(isinstance(item, str) for item in found)
    if not good or len(found) != plan.facts.items:
        raise IntegrityError(f"The items in {folder} are damaged.")
    return Catalogue(item_ids=tuple(found))
