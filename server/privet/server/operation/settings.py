"""A federation's settings: ``privet.toml``, which explains itself and is read strictly.

Each section is a frozen dataclass whose fields carry the sentence that the file shows above them,
so that the file, its checks and its documentation cannot drift apart.
"""

import ipaddress
import json
import math
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from privet.models.combination import Combination
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import InputError

MAX_CHARACTERS = 1 << 16
_Section = TypeVar("_Section")


def _setting(default: Any, why: str, fits: Callable[[Any], bool], expected: str) -> Any:
    """A field with its default, what the file says about it, and what it may be."""
    return field(default=default, metadata={"why": why, "fits": fits, "expected": expected})


def _text(value: Any) -> bool:
    return 0 < len(value) <= 128 and value.isprintable()


def _name(value: str) -> bool:
    return _text(value) and value.isascii() and not set(value) & set("*/@[] ")


def _loopback(value: Any) -> bool:
    try:
        return ipaddress.ip_address(value).is_loopback
    except ValueError:
        return False


def _count(low: int, high: int) -> tuple[Callable[[Any], bool], str]:
    return (lambda value: low <= value <= high), f"a whole number from {low} to {high}"


def _real(low: float, high: float) -> tuple[Callable[[Any], bool], str]:
    return (lambda value: low < value <= high), f"a number above {low:g}, at most {high:g}"


@dataclass(frozen=True, kw_only=True)
class Federation:
    """What is learnt, by whom."""

    name: str = _setting("my federation", "Shown to the people who join.", _text, "a short text")
    model: str = _setting(
        "spectral", "What is trained: hybrid, popularity or spectral.", _text, "a name"
    )
    devices: int = _setting(
        100,
        "The plan is made for this many devices: a round waits for them and takes no more.",
        *_count(2, 1_000_000),
    )


@dataclass(frozen=True, kw_only=True)
class Privacy:
    """What is promised. All of it is hashed into the plan that every device checks."""

    epsilon: float = _setting(
        2.0, "What one run may spend, per user. Smaller is more private.", *_real(0, 100)
    )
    delta: float = _setting(
        1e-6, "Must be below 1 / users. Everything is stated at it.", *_real(0, 0.5)
    )
    budget: float = _setting(
        4.0, "What all runs on these users may spend together. Reached, no run starts.",
        *_real(0, 1000),
    )  # fmt: skip
    answers: int = _setting(
        3,
        "How often a device may be asked for each sum, in repeats and later runs. Devices count.",
        *_count(1, 100),
    )
    trust: str = _setting(
        "secure-aggregation",
        "secure-aggregation: the server sees sums only. central: it is trusted with uploads.",
        lambda value: value in {str(trust) for trust in Trust},
        "one of " + ", ".join(Trust),
    )
    groups: int = _setting(
        1,
        "Groups that a round is split into, each with its own sum, minimum and full noise.",
        *_count(1, 100),
    )
    combination: str = _setting(
        "sum",
        "How groups become one: sum, trimmed-mean or median; the last two bear spoiled groups.",
        lambda value: value in {str(combination) for combination in Combination},
        "one of " + ", ".join(Combination),
    )
    min_survivors_permille: int = _setting(
        800,
        "Devices of a group, in thousandths, that its sum needs. The noise is set for these.",
        *_count(500, 1000),
    )
    colluders: int = _setting(
        1, "Devices assumed to tell others what noise they added.", *_count(1, 100_000)
    )
    corrupt_permille: int = _setting(
        50, "Devices in thousandths assumed to be the server's, for the masks.", *_count(0, 499)
    )
    drop_permille: int = _setting(
        100, "Devices in thousandths assumed to drop out, for the masks.", *_count(0, 499)
    )


@dataclass(frozen=True, kw_only=True)
class Network:
    """Where devices find the server. Only its Fleet paths may face the network."""

    host: str = _setting(
        "127.0.0.1",
        "Address to listen on, of this machine's loopback: the proxy is what faces the network.",
        _loopback,
        "a loopback address, 127.0.0.1 or ::1",
    )
    port: int = _setting(9092, "Port to listen on.", *_count(1, 65535))
    public_port: int = _setting(
        443, "Port that devices connect to: the proxy's, on the first of the names.",
        *_count(1, 65535),
    )  # fmt: skip
    names: tuple[str, ...] = _setting(
        ("localhost", "127.0.0.1"),
        "Names and addresses in the certificate: what devices connect to.",
        lambda value: bool(value) and all(type(name) is str and _name(name) for name in value),
        "a list of names",
    )
    metrics_port: int = _setting(
        0, "Serve metrics on this port of 127.0.0.1; 0 for not at all.", *_count(0, 65535)
    )


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """How long a round waits. Whoever is late is left out; nothing of it is learnt."""

    stage_seconds: float = _setting(
        60.0, "For answers to each of a round's messages.", *_real(0, 86_400)
    )
    gather_seconds: float = _setting(
        3600.0,
        "How long to wait for all devices before a round; it goes on with as many as suffice.",
        *_real(0, 604_800),
    )
    attempts: int = _setting(
        3, "How often a round that was aborted before it cost anything is tried.", *_count(1, 100)
    )
    rollout_permille: int = _setting(
        100, "Devices in thousandths that get a new model first.", *_count(1, 1000)
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A federation's settings."""

    federation: Federation = Federation()
    privacy: Privacy = Privacy()
    network: Network = Network()
    rounds: Rounds = Rounds()


_SECTIONS = tuple(section.name for section in fields(Settings))


def write_settings(settings: Settings) -> str:
    """The settings as a file with an explanation of each; `read_settings` gives them back."""
    lines = [
        "# Settings of a Privet federation. Unknown names and values out of range are refused."
    ]
    for name in _SECTIONS:
        section = getattr(settings, name)
        lines += ["", f"# {(type(section).__doc__ or '').strip()}", f"[{name}]"]
        for item in fields(section):
            lines += [f"# {item.metadata['why']}", f"{item.name} = {_toml(section, item.name)}"]
    return "\n".join(lines) + "\n"


def _toml(section: object, name: str) -> str:
    value = getattr(section, name)
    return repr(value) if isinstance(value, float) else json.dumps(value)


def load_settings(path: Path) -> Settings:
    """Read a file of settings; see `read_settings`.

    Raises:
        InputError: Not settings, or not in UTF-8.
    """
    with path.open("rb") as file:
        data = file.read(4 * MAX_CHARACTERS + 1)
    try:
        return read_settings(data.decode())
    except UnicodeError as error:
        raise InputError("Expected settings as a TOML file in UTF-8.") from error


def read_settings(text: str) -> Settings:
    """Read settings; what is left out has its default.

    Raises:
        InputError: Not TOML, an unknown name, or a value of another type or out of its range. Says
            which, and what was expected.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"Settings have at most {MAX_CHARACTERS} characters.")
    try:
        body = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        where = str(error)[:200] if isinstance(error, tomllib.TOMLDecodeError) else "too deep"
        raise InputError(
            f"Expected settings as a TOML file: its syntax is broken. {where}."
        ) from error
    _known(body, set(_SECTIONS), "section")
    return Settings(
        federation=_section(Federation, body.get("federation", {}), "federation"),
        privacy=_section(Privacy, body.get("privacy", {}), "privacy"),
        network=_section(Network, body.get("network", {}), "network"),
        rounds=_section(Rounds, body.get("rounds", {}), "rounds"),
    )


def _section(kind: type[_Section], body: object, name: str) -> _Section:
    if not isinstance(body, dict):
        raise InputError(f"Expected [{name}] as a section of the settings.")
    known = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
    _known(body, set(known), f"setting in [{name}]")
    values = {key: _value(known[key], value, name) for key, value in body.items()}
    return kind(**values)


def _known(body: dict[str, Any], names: set[str], what: str) -> None:
    if unknown := sorted(set(body) - names):
        raise InputError(f"Unknown {what}: {unknown[0][:40]!r}. Known: {', '.join(sorted(names))}.")


def _value(item: Any, value: Any, section: str) -> Any:
    """A value of the field's own type and range; a whole number may stand for a real one."""
    wanted = type(item.default)
    if wanted is float and type(value) is int:
        value = float(value)
    if wanted is tuple and type(value) is list:
        value = tuple(value)
    right = type(value) is wanted
    finite = not isinstance(value, float) or math.isfinite(value)
    if not (right and finite and item.metadata["fits"](value)):
        raise InputError(
            f"Expected {item.name} in [{section}] as {item.metadata['expected']}, found "
            f"{str(value)[:40]!r}. {item.metadata['why']}"
        )
    return value
