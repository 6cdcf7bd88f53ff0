"""Where a device keeps the local state of a model between the steps of a plan.

A step that is repeated starts from the state that it started from the first time, so that an
attempt that failed changes nothing.
"""

import os
from pathlib import Path
from typing import Protocol

from privet.client.store_file import wipe
from privet.models.model import LocalState
from privet.models.requests import pack, unpack
from privet.privacy.canonical import Json
from privet.privacy.errors import InputError, IntegrityError

_PLACES = ("before", "after")
_SUFFIX = ".state"


class LocalStates(Protocol):
    """A device's local state, a plan at a time."""

    def before(self, plan_hash: str, step: str) -> LocalState:
        """The state that a step starts from; empty for the first.

        Raises:
            IntegrityError: What was kept is damaged.
        """

    def keep(self, plan_hash: str, step: str, after: LocalState) -> None:
        """Keep what a step made of it, durably if it is a real device."""

    def held(self) -> dict[str, LocalState]:
        """What each plan's last step made, by the plan's hash.

        Raises:
            IntegrityError: What was kept is damaged.
        """

    def forget(self) -> int:
        """Drop all of it, for good; of how many plans there was some."""


class MemoryLocalStates:
    """Local states that are forgotten when the process ends: for tests and simulations.

    Args:
        data: What `to_bytes` of another one gave, to go on from; nothing yet if empty.

    Raises:
        InputError: Other bytes.
    """

    def __init__(self, data: bytes = b"") -> None:
        """Read what was kept."""
        self._kept: dict[str, tuple[str, LocalState, LocalState]] = {}
        fields, arrays = unpack(data) if data else ({}, {})
        for plan_hash, step in fields.items():
            before, after = (_under(f"{plan_hash}/{name}/", arrays) for name in _PLACES)
            self._kept[plan_hash] = (str(step), before, after)

    def before(self, plan_hash: str, step: str) -> LocalState:
        """The state that a step starts from; see `LocalStates`."""
        last, before, after = self._kept.get(plan_hash, ("", {}, {}))
        return before if last == step else after

    def keep(self, plan_hash: str, step: str, after: LocalState) -> None:
        """Keep what a step made of it; see `LocalStates`."""
        self._kept[plan_hash] = (step, self.before(plan_hash, step), after)

    def to_bytes(self) -> bytes:
        """All of it, for a process that is to go on from it."""
        steps: dict[str, Json] = {plan_hash: kept[0] for plan_hash, kept in self._kept.items()}
        arrays = {
            f"{plan_hash}/{place}/{name}": array
            for plan_hash, (_, *states) in self._kept.items()
            for place, state in zip(_PLACES, states, strict=True)
            for name, array in state.items()
        }
        return pack(steps, arrays)

    def held(self) -> dict[str, LocalState]:
        """What each plan's last step made; see `LocalStates`."""
        return {plan_hash: after for plan_hash, (_, _, after) in self._kept.items()}

    def forget(self) -> int:
        """Drop all of it; see `LocalStates`."""
        count = len(self._kept)
        self._kept.clear()
        return count


class LocalStateFolder:
    """Local states as files that only their owner can read, one a plan, replaced as a whole.

    They follow from a history and are not encrypted: the folder needs the protection that the
    history has.

    Args:
        folder: Made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folder."""
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def before(self, plan_hash: str, step: str) -> LocalState:
        """The state that a step starts from; see `LocalStates`."""
        last, arrays = self._read(plan_hash)
        return _under("before/" if last == step else "after/", arrays)

    def keep(self, plan_hash: str, step: str, after: LocalState) -> None:
        """Keep what a step made of it; see `LocalStates`."""
        arrays = {f"before/{name}": a for name, a in self.before(plan_hash, step).items()}
        arrays.update({f"after/{name}": a for name, a in after.items()})
        path = self._path(plan_hash)
        partial = path.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pack({"step": step}, arrays))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)

    def held(self) -> dict[str, LocalState]:
        """What each plan's last step made; see `LocalStates`."""
        found: dict[str, LocalState] = {}
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            _, arrays = self._read(path.stem)
            found[path.stem] = {
                n.removeprefix("after/"): a for n, a in arrays.items() if n.startswith("after/")
            }
        return found

    def forget(self) -> int:
        """Overwrite and remove every file; see `LocalStates`."""
        files = [path for path in self._folder.iterdir() if path.is_file()]
        for path in files:
            wipe(path)
        return sum(path.suffix == _SUFFIX for path in files)

    def _read(self, plan_hash: str) -> tuple[str, LocalState]:
        path = self._path(plan_hash)
        if not path.exists():
            return "", {}
        try:
            fields, arrays = unpack(path.read_bytes())
            return str(fields["step"]), arrays
        except (InputError, KeyError) as error:
            raise IntegrityError(f"The local state in {path} is damaged.") from error

    def _path(self, plan_hash: str) -> Path:
        if not plan_hash.isalnum():
            raise InputError("Expected a plan's hash.")
        return self._folder / f"{plan_hash}{_SUFFIX}"


def _under(prefix: str, arrays: LocalState) -> LocalState:
    """The arrays whose names begin so, by the rest of their names."""
    return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
