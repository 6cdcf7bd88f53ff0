"""Fixtures of the simulations' tests."""

from pathlib import Path

import pytest
from tests.simulations.world import Privet, save_world


@pytest.fixture
def privet(capsys: pytest.CaptureFixture[str]) -> Privet:
    return Privet(capsys)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_world(tmp_path_factory.mktemp("data") / "world.privet")
