"""A whole federation on loopback: a directory, joined devices in threads, servers in processes."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from tests.superlink import free_port

from privet.client.embedded.pace import Pace
from privet.client.membership import Membership, join
from privet.client.running import answer_until
from privet.client.session import DeviceSession
from privet.models.catalogue import Catalogue
from privet.models.cohort import Cohort
from privet.models.invitation import Invitation
from privet.models.known import model_of
from privet.server.operation.directory import Directory
from privet.server.operation.settings import Federation, Network, Privacy, Rounds, Settings

DEVICES, ITEMS = 12, 14
CATALOGUE = Catalogue(item_ids=tuple(f"item-{k}" for k in range(ITEMS)))


def settings(
    *,
    budget: float = 8.0,
    epsilon: float = 4.0,
    trust: str = "secure-aggregation",
    devices: int = DEVICES,
) -> Settings:
    return Settings(
        federation=Federation(name="A test", model="popularity", devices=devices),
        privacy=Privacy(
            epsilon=epsilon,
            delta=1e-4,
            budget=budget,
            trust=trust,
            min_survivors_permille=700,
            drop_permille=300,
            answers=5,
        ),
        network=Network(port=(port := free_port()), public_port=port, names=("127.0.0.1",)),
        rounds=Rounds(stage_seconds=30.0, gather_seconds=60.0, attempts=2, rollout_permille=1000),
    )


def made(path: Path, wanted: Settings | None = None) -> Directory:
    """A federation whose plan is fixed."""
    directory = Directory.make(path, wanted or settings())
    directory.invite(CATALOGUE)
    return directory


def history(row: int, number: int) -> Cohort:
    taken = np.flatnonzero(np.random.default_rng(row).random(ITEMS) < 0.4)
    cohort = Cohort.from_pairs(np.zeros(len(taken), np.int64), taken, n_users=1, n_items=ITEMS)
    return Cohort(**{**vars(cohort), "devices": np.array([number], np.int64)})


class Fleet:
    """Joined devices, and threads in which they answer."""

    def __init__(self, directory: Directory, folder: Path, devices: int = DEVICES) -> None:
        self.folders = [folder / f"device-{row}" for row in range(devices)]
        data = directory.invitation.to_bytes()
        requests = [join(Invitation.from_bytes(data), path) for path in self.folders]
        directory.enrol(requests)

    @classmethod
    def of(cls, folders: list[Path]) -> "Fleet":
        """Devices that joined before."""
        found = cls.__new__(cls)
        found.folders = folders
        return found

    @contextmanager
    def alive(self, first: int = 0) -> Iterator[list[Membership]]:
        members = [Membership.open(path) for path in self.folders[first:]]
        done = threading.Event()
        failed: list[BaseException] = []

        def live(row: int) -> None:
            member = members[row]
            cohort = history(row, member.request.number)
            session = DeviceSession(member.device(model_of(member.invitation.plan), cohort))
            try:
                answer_until(
                    member,
                    session,
                    done.is_set,
                    wait=done.wait,
                    pace=Pace(poll_seconds=0.2, idle_seconds=0.2),
                )
            except BaseException as error:  # noqa: BLE001 - shown by the test
                failed.append(error)

        threads = [
            threading.Thread(target=live, args=(row,), daemon=True) for row in range(len(members))
        ]
        for thread in threads:
            thread.start()
        try:
            yield members
        finally:
            done.set()
            for thread in threads:
                thread.join(timeout=60)
            for member in members:
                member.close()
            assert not failed, failed

    def held(self) -> list[tuple[int, str] | None]:
        found = []
        for path in self.folders:
            member = Membership.open(path)
            model = member.models.held
            member.close()
            found.append(None if model is None else (model.version, model.state_hash))
        return found


def privet(*arguments: str, seconds: float = 300) -> tuple[int, dict[str, Any], str]:
    """Run the command in a process of its own: exit code, JSON, standard error."""
    ran = subprocess.run(
        [str(Path(sys.executable).with_name("privet")), *arguments, "--json"],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return ran.returncode, json.loads(ran.stdout or "{}"), ran.stderr
