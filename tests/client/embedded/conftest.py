"""Flower is imported once, before anything is timed; its SuperLink is started once a module."""

from collections.abc import Iterator

import pytest
from tests.client.embedded.flower import flower_class
from tests.superlink import SuperLink, superlink


@pytest.fixture(scope="session", autouse=True)
def flower() -> None:
    """Import Flower's protobuf classes, which takes a second."""
    flower_class("Node")


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SuperLink]:
    """A running SuperLink."""
    with superlink(tmp_path_factory.mktemp("superlink")) as running:
        yield running
