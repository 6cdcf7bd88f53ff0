"""Flower is imported and its SuperLink started once, for all tests of the embedded device."""

from collections.abc import Iterator

import pytest
from tests.client.embedded.flower import flower_class
from tests.superlink import ServerSide, SuperLink, superlink


@pytest.fixture(scope="session", autouse=True)
def flower() -> None:
    """Import Flower's protobuf classes, which takes a second."""
    flower_class("Node")


@pytest.fixture(scope="session")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SuperLink]:
    """A running SuperLink."""
    with superlink(tmp_path_factory.mktemp("superlink")) as running:
        yield running


@pytest.fixture(scope="session")
def the_run(link: SuperLink) -> Iterator[ServerSide]:
    """The server's side of the only run."""
    side = link.start_run()
    yield side
    side.close()


@pytest.fixture
def side(the_run: ServerSide) -> ServerSide:
    """The server's side, which makes this process's messages during the test."""
    the_run.identify()
    return the_run
