"""What an app decides for its client, in one frozen object or one TOML file."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from privet.client.profile.asker import AskRules
from privet.client.profile.questions import Ask
from privet.client.profile.sensitive import Sensitive
from privet.client.ranking.rerank import ListRules
from privet.client.rights.quotas import Quotas
from privet.client.vault.history import Weighting
from privet.client.vault.receipt import Retention
from privet.models.content import Hashing
from privet.privacy.errors import InputError

MAX_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What an app decides; all of it public.

    Attributes:
        retention: What is erased by itself; nothing if not given.
        weighting: How events become strengths of preference, and how these decay.
        lists: The app's rules for lists; a request's own diversity comes before them. Items are
            hidden by the user, with `Client.feedback`, and not here.
        asking: What the user may be asked, and when it is worth asking.
        quotas: What taking part in a federation may cost the device.
        hashing: How the catalogue's texts become vectors.
        keep_features: Keep what is computed from the catalogue in a file beside the store, so that
            the first search after opening does not compute it again.

    Raises:
        InputError: A value out of its range, or items hidden by position.
    """

    retention: Retention = field(default_factory=Retention)
    weighting: Weighting = field(default_factory=Weighting)
    lists: ListRules = field(default_factory=ListRules)
    asking: AskRules = field(default_factory=AskRules)
    quotas: Quotas = field(default_factory=Quotas)
    hashing: Hashing = field(default_factory=Hashing)
    keep_features: bool = True

    def __post_init__(self) -> None:
        """Check what the parts do not check themselves."""
        if self.lists.hidden:
            raise InputError("Expected no hidden items in a policy: users hide items themselves.")

    @classmethod
    def from_toml(cls, path: Path) -> "Policy":
        """Read a policy: tables and keys have the names of the attributes.

        Raises:
            InputError: The file cannot be read, is no TOML, or has a key that no policy has or a
                value of another type or range.
        """
        try:
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
            found = tomllib.loads(data.decode()) if len(data) <= MAX_BYTES else None
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}.") from error
        except (ValueError, RecursionError):
            found = None
        if found is None:
            raise InputError(f"{path} is no TOML, or larger than {MAX_BYTES} bytes.")
        made = _made(cls, found, "a policy")
        assert isinstance(made, cls)
        return made


_PARTS: Mapping[str, type] = MappingProxyType(
    {
        "retention": Retention,
        "weighting": Weighting,
        "lists": ListRules,
        "asking": AskRules,
        "sensitive": Sensitive,
        "quotas": Quotas,
        "hashing": Hashing,
    }
)
_SETS = ("blocked", "hidden", "words")


def _made(kind: type[Any], table: object, what: str) -> Any:
    """An object of a dataclass from a table with the names of its fields."""
    known = {item.name for item in fields(kind)}
    if not isinstance(table, dict) or not set(table) <= known:
        raise InputError(f"Expected {what} with keys among: {', '.join(sorted(known))}.")
    try:
        return kind(**{name: _value(kind, name, value) for name, value in table.items()})
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"Expected {what} with values of the right types.") from error


def _value(kind: type[Any], name: str, value: Any) -> Any:
    if name in _PARTS:
        return _made(_PARTS[name], value, f"a table {name}")
    if kind is AskRules and name == "kinds":
        return frozenset(Ask(word) for word in value)
    if name in _SETS:
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise InputError(f"Expected {name} as a list of texts.")
        return frozenset(value)
    return value
