"""Readers of the secure aggregation's messages: parsers, devices and the server in each stage."""

import copy
import json
from collections.abc import Callable
from functools import cache, partial
from typing import Any, TypeVar

import numpy as np
from tests.fuzz.harness import Target
from tests.privacy.secagg.known_answers import FOLDER
from tests.privacy.secagg.world import answer, cohort, run_until, terms, vectors

from privet.privacy.secagg.client import Client
from privet.privacy.secagg.device_messages import Advert, Cosignature, Masked, Shares, Sharing
from privet.privacy.secagg.roster import open_roster
from privet.privacy.secagg.server import Server
from privet.privacy.secagg.server_messages import Delivery, Survivors, UnmaskRequest
from privet.privacy.secagg.testing import STAGES, Cohort, MemoryRecord

DEVICES, DIMENSION = 8, 5
NEIGHBOURS = terms().parameters(DEVICES).neighbours
T = TypeVar("T", Client, Server)

PARSERS: dict[str, Callable[[bytes], object]] = {
    "advert": lambda data: Advert.parse(data, False),
    "advert-certified": lambda data: Advert.parse(data, True),
    "roster": lambda data: open_roster(data, terms()),
    "sharing": lambda data: Sharing.parse(data, DEVICES, NEIGHBOURS),
    "delivery": lambda data: Delivery.parse(data, DEVICES),
    "masked": lambda data: Masked.parse(data, DEVICES, DIMENSION),
    "survivors": lambda data: Survivors.parse(data, DEVICES),
    "cosignature": lambda data: Cosignature.parse(data, DEVICES),
    "unmask_request": lambda data: UnmaskRequest.parse(data, DEVICES),
    "shares": lambda data: Shares.parse(data, DEVICES),
}


def known(name: str) -> bytes:
    """A known answer's message."""
    return bytes.fromhex(json.loads((FOLDER / f"{name}.json").read_text())["hex"])


def branch(machine: T) -> T:
    """A copy of a state machine that goes its own way."""
    other = copy.copy(machine)
    for name, value in vars(machine).items():
        if isinstance(value, dict | set | list | np.ndarray):
            setattr(other, name, copy.copy(value))
        elif isinstance(value, MemoryRecord):
            setattr(other, name, MemoryRecord())
    return other


@cache
def _before(stage: str) -> tuple[Cohort, dict[int, bytes]]:
    """A round in which device 7 sends no vector, up to a stage."""
    world = cohort(DEVICES)
    return world, run_until(world, stage, {"masked": [7]})


def _device(stage: str, data: bytes) -> None:
    """A device meets a server's message; whatever it refuses, it reveals nothing afterwards."""
    world, _ = _before(stage)
    client = branch(world.clients[2])
    answer(client, stage, data, vectors(DEVICES)[2])


def _server(stage: str, data: bytes) -> None:
    """The server meets a device's message."""
    world, _ = _before(stage)
    getattr(branch(world.server), f"accept_{stage}")(data)


@cache
def _answers(stage: str) -> dict[int, bytes]:
    world, inbox = _before(stage)
    rows = vectors(DEVICES)
    return {
        device: answer(branch(world.clients[device]), stage, message, rows[device])
        for device, message in inbox.items()
    }


def _signed_shares(data: bytes) -> None:
    """A device that answers with other shares, rightly signed, at the end of a round."""
    world, _ = _before("shares")
    server = branch(world.server)
    changed = Shares.parse(data, DEVICES)
    key = world.identities[changed.sender]
    signed = Shares(**{**vars(changed), "signature": key.sign(b"shares", *changed.signed)})
    server.accept_shares(signed.encode())
    for device, message in _answers("shares").items():
        if device != changed.sender:
            server.accept_shares(message)
    server.finish()


def _signed_masked(data: bytes) -> None:
    """A device that masks otherwise than it should, rightly signed."""
    world, _ = _before("masked")
    server = branch(world.server)
    changed = Masked.parse(data, DEVICES, DIMENSION)
    key = world.identities[changed.sender]
    signed = Masked(**{**vars(changed), "signature": key.sign(b"masked", *changed.signed)})
    server.accept_masked(signed.encode())


def secagg_targets() -> list[Target]:
    """All of them."""
    found = [
        Target(name=f"secagg {name}", read=read, seeds=(known(name),))
        for name, read in PARSERS.items()
    ]
    for stage in STAGES[1:]:
        inbox: Any = _before(stage)[1]
        seeds = (inbox[2], inbox[1])
        found.append(
            Target(name=f"device in {stage}", read=partial(_device, stage), seeds=seeds, slow=True)
        )
        found.append(
            Target(
                name=f"server in {stage}",
                read=partial(_server, stage),
                seeds=tuple(_answers(stage).values())[:3],
                slow=True,
            )
        )
    shares = tuple(_answers("shares").values())[:2]
    masked = tuple(_answers("masked").values())[:2]
    found.append(Target(name="signed shares", read=_signed_shares, seeds=shares, slow=True))
    found.append(Target(name="signed masked", read=_signed_masked, seeds=masked, slow=True))
    return found
