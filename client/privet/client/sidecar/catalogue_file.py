"""A catalogue as a JSON file: ``{"items": [{"item": "1", "title": "Alien", ...}, ...]}``."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from privet.models.catalogue import Catalogue
from privet.privacy.errors import InputError

MAX_BYTES = 1 << 28
_MEMBERS: Mapping[str, tuple[str, type]] = MappingProxyType(
    {
        "title": ("titles", str),
        "categories": ("categories", list),
        "year": ("years", int),
        "description": ("descriptions", str),
        "duration": ("durations", int),
        "price": ("prices", int),
    }
)


def read_catalogue_json(path: Path) -> Catalogue:
    """Read a catalogue.

    Each item has ``item``, its identifier, and any of ``title``, ``categories``, ``year``,
    ``description``, ``duration`` in seconds and ``price`` in hundredths; what one item has, all have.

    Raises:
        InputError: The file cannot be read, or is none of this form.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        body = json.loads(data.decode()) if len(data) <= MAX_BYTES else None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError):
        body = None
    items = body.get("items") if isinstance(body, dict) and set(body) == {"items"} else None
    if not isinstance(items, list) or not items or not all(isinstance(i, dict) for i in items):
        raise InputError(f'{path}: expected JSON of the form {{"items": [{{"item": "1"}}]}}.')
    names = set(items[0])
    if "item" not in names or not names <= {"item", *_MEMBERS}:
        known = ", ".join(_MEMBERS)
        raise InputError(f"{path}: expected items with item, and any of: {known}.")
    for number, item in enumerate(items):
        if set(item) != names or not _fits(item):
            raise InputError(f"{path}: item {number} has other members or types than expected.")
    features: dict[str, Any] = {
        feature: tuple(tuple(i[name]) if kind is list else i[name] for i in items)
        for name, (feature, kind) in _MEMBERS.items()
        if name in names
    }
    return Catalogue(item_ids=tuple(item["item"] for item in items), **features)


def _fits(item: Mapping[str, Any]) -> bool:
    return type(item["item"]) is str and all(
        type(value) is _MEMBERS[name][1]
        and (type(value) is not list or all(type(one) is str for one in value))
        for name, value in item.items()
        if name != "item"
    )
