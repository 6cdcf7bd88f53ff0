"""The installed Flower's own protobuf classes, by the names of our tables."""

from functools import cache
from importlib import import_module
from typing import Any

from tests.superlink import SILENCE

MODULES = ("fleet", "message", "node", "heartbeat", "recorddict", "error")
assert SILENCE  # importing it sets what Flower reads when it is imported


@cache
def flower_class(name: str) -> Any:
    """The generated class of a message type; nested types as ``Outer.Inner``."""
    outer, *inner = name.split(".")
    for module in MODULES:
        found = getattr(import_module(f"flwr.proto.{module}_pb2"), outer, None)
        if found is not None:
            for part in inner:
                found = getattr(found, part)
            return found
    raise AssertionError(f"The installed Flower has no message type {name!r}.")
