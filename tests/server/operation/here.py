"""A whole federation in this process: a directory, joined devices and a server, without a SuperLink.

All is real but the way between them: messages are handed over by a call. What that way does to them
is for the tests with a SuperLink.
"""

import io
import json
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.server.operation.federation import Fleet, history

from privet.client.device import DeviceTask
from privet.client.membership import Membership
from privet.client.session import DeviceSession
from privet.models.known import model_of
from privet.privacy.minimization.envelope import Envelope
from privet.privacy.minimization.gate import Gate
from privet.server.courier import Courier, Reply
from privet.server.operation.directory import Directory
from privet.server.operation.logs import EventLog
from privet.server.operation.service import Outcome, Service


class Killed(BaseException):
    """A power failure: nothing catches it."""


class Log(io.StringIO):
    """A server's log, which may end the server when a phase is written."""

    def __init__(self, killed_at: str | None = None) -> None:
        super().__init__()
        self._killed_at = killed_at

    def write(self, text: str) -> int:
        found = super().write(text)
        if self._killed_at is not None and f'"phase": "{self._killed_at}"' in text:
            raise Killed
        return found

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == name]


class Cheat(DeviceSession):
    """A device that sends random words instead of its vector, as the protocol has it otherwise."""

    def _vector(self, task: DeviceTask, gate: Gate) -> NDArray[np.uint32]:
        shape = super()._vector(task, gate).shape
        return np.random.default_rng(5).integers(0, 1 << 32, shape, np.uint32)


class Here:
    """Devices that are there, and the link to them. Follows `privet.server.operation.link.Link`."""

    transport = "none: all in one process"

    def __init__(self, members: Sequence[Membership], cheats: Collection[int] = ()) -> None:
        self.members = members
        self.asked: list[Envelope] = []
        self.answered: Counter[str] = Counter()
        self.change: Callable[[Envelope], Envelope] = lambda request: request
        self._sessions: dict[str, DeviceSession] = {}
        for row, member in enumerate(members):
            kind = Cheat if row in cheats else DeviceSession
            device = member.device(
                model_of(member.invitation.plan), history(row, member.request.number)
            )
            self._sessions[member.request.node] = kind(device)
        self._registered: list[str] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        self._registered = []
        yield

    def register(self, keys: Collection[str]) -> None:
        self._registered += [key for key in keys if key not in self._registered]

    @contextmanager
    def courier(self) -> Iterator[Courier]:
        yield self

    def nodes(self) -> Sequence[int]:
        return [n for n, key in enumerate(self._registered) if key in self._sessions]

    def exchange(self, requests: Mapping[int, Envelope], seconds: float) -> Iterator[Reply]:
        for node, request in requests.items():
            self.asked.append(request)
            admitted = self._sessions[self._registered[node]].answer(self.change(request))
            self.answered[request.stage] += admitted is not None
            yield Reply(node, None if admitted is None else admitted.payload)

    def serve(self, place: Path, log: Log | None = None, **options: Any) -> Outcome:
        """A server on a directory, once, from its beginning to its end."""
        self.log = Log() if log is None else log
        directory = Directory(place)
        self.service = Service(directory, EventLog(self.log), link=lambda _: self, **options)
        with directory.locked():
            return self.service.run(once=True)


@contextmanager
def here(
    fleet: Fleet, *, cheats: Collection[int] = (), rows: slice = slice(None)
) -> Iterator[Here]:
    """The devices of a fleet, or some of them, as after a start of each."""
    members = [Membership.open(path) for path in fleet.folders[rows]]
    try:
        yield Here(members, cheats)
    finally:
        for member in members:
            member.close()


def restored(place: Path, backup: Path, *names: str) -> None:
    """Put an older copy of some of a directory's files back, or of all of it."""
    for name in names or [path.name for path in place.iterdir()]:
        target, source = place / name, backup / name
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        elif source.exists():
            shutil.copy2(source, target)


def changed(request: Envelope) -> Envelope:
    """A request with one bit of its last byte flipped."""
    payload = request.payload[:-1] + bytes([request.payload[-1] ^ 1])
    return replace(request, payload=payload)
