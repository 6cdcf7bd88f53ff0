"""What every reader of foreign bytes owes: documented errors, bounded work, nothing quoted.

A target reads bytes as the code does that meets them. `check` runs it once and fails on any
exception that is not documented, on too much time or memory, and on an error that quotes what it
read. The same targets run in the default tests (`test_fuzz.py`) and under atheris
(`run_atheris.py`).
"""

import json
import random
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from typing import Any

from privet.privacy.errors import PrivetError

CANARY = "Qz7anna-likes-item-90210"
CANARY_NUMBER = 739018245611
LONGEST_ERROR = 700
SECONDS = 5.0
"""Far above what any target needs, so that only work out of all proportion is too long."""
MEMORY = 48 << 20
MEMORY_A_BYTE = 100
"""Parsed JSON takes tens of bytes for each of its own."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A reader of foreign bytes.

    Attributes:
        name: What it reads.
        read: Reads it; may raise `PrivetError` and nothing else.
        seeds: Valid inputs.
        json: Whether inputs are JSON, so that values can be replaced in them.
        slow: Whether one run takes milliseconds, so that fewer are made.
        may_quote: Whether it is a public document (a plan, a policy, a run's ledger, a report), of
            which an error may quote a name or a number to whoever has to mend it.
    """

    name: str
    read: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    json: bool = False
    slow: bool = False
    may_quote: bool = False


def check(target: Target, data: bytes, *, measure_memory: bool = False) -> PrivetError | None:
    """Run a target on bytes.

    Returns:
        The documented error, None if the bytes were read.

    Raises:
        AssertionError: It raised something else, worked too long or too large, or quoted.
    """
    if measure_memory:
        tracemalloc.start()
    start = time.perf_counter()
    refused: PrivetError | None = None
    try:
        target.read(data)
    except PrivetError as error:
        refused = error
    except BaseException as error:
        raise AssertionError(
            f"{target.name}: {type(error).__name__} escaped on {data[:200]!r} ({len(data)} bytes)"
        ) from error
    finally:
        took = time.perf_counter() - start
        if measure_memory:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    assert took < SECONDS, f"{target.name}: {took:.1f} s for {len(data)} bytes"
    if measure_memory:
        limit = MEMORY + MEMORY_A_BYTE * len(data)
        assert peak < limit, f"{target.name}: {peak >> 20} MiB for {len(data)} bytes"
    if refused is not None:
        check_text(target, str(refused))
    return refused


def check_text(target: Target, text: str) -> None:
    """An error's text is short and quotes nothing."""
    assert len(text) <= LONGEST_ERROR, f"{target.name}: an error of {len(text)} characters"
    if not target.may_quote:
        told = [CANARY, CANARY.encode().hex(), str(CANARY_NUMBER), "b'", 'b"']
        assert not any(secret in text for secret in told), f"{target.name} quotes: {text}"


HOSTILE_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 1 << 31, 1 << 32, (1 << 63) + 1, -(1 << 70), 10**400, 0.5, -0.0,
    1e308, -1e-320, float("inf"), float("nan"), "", "0", "A1", "central", "skellam", CANARY,
    CANARY_NUMBER, "\ud800", "a" * 400, "0" * 64, "[" * 5000, [], {}, [[]], {"": {}}, [CANARY],
    {CANARY: CANARY_NUMBER}, {"text": "infinity", "value": None},
)  # fmt: skip


def mutate(target: Target, data: bytes, rng: random.Random) -> bytes:
    """A changed input: values replaced where it is JSON, else bytes flipped, moved, cut, added."""
    if target.json and rng.random() < 0.7:
        changed = _mutate_json(data, rng)
        if changed is not None:
            return changed
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(7):
            case 0 if out:
                out[at % len(out)] ^= 1 << rng.randrange(8)
            case 1 if out:
                out[at % len(out)] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
            case 2:
                out[at:at] = rng.choice(_TOKENS)
            case 3:
                del out[at : at + rng.choice((1, 2, 4, 32, 1000))]
            case 4:
                del out[at:]
            case 5:
                other = rng.choice(target.seeds)
                begin = rng.randrange(len(other) + 1)
                out[at:] = other[begin:]
            case _:
                piece = out[at : at + rng.choice((1, 8, 64))]
                out[at:at] = piece * rng.choice((1, 2, 50))
    return bytes(out)


_TOKENS: Sequence[bytes] = (
    CANARY.encode(), b"\xff" * 4, b"\xff" * 8, b"\x00" * 32, b"[" * 64, b"{" * 64, b'"', b"\n", b",",
    b"9" * 5000, b"1e999", b"NaN", b"-0", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"= ", b"[[field]]",
)  # fmt: skip


def _mutate_json(data: bytes, rng: random.Random) -> bytes | None:
    """JSON with values at random places replaced, removed, renamed or doubled; hashes not mended."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    for _ in range(rng.choice((1, 1, 2, 4))):
        places = list(islice(_places(value), 5000))
        if not places:
            return None
        holder, key = rng.choice(places)
        if rng.random() < 0.15:
            del holder[key]
        elif isinstance(holder, dict) and rng.random() < 0.1:
            holder[CANARY] = holder.pop(key)
        elif isinstance(holder, list) and rng.random() < 0.2:
            holder.append(holder[key])
        else:
            holder[key] = deepcopy(rng.choice(HOSTILE_VALUES))
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except RecursionError:
        return None
    return text.encode("utf-8", "surrogatepass")


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) in a JSON value, however deep."""
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        if isinstance(holder, dict | list):
            keys = list(holder) if isinstance(holder, dict) else range(len(holder))
            for key in keys:
                yield holder, key
                waiting.append(holder[key])
