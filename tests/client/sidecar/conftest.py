"""A sidecar of a user who agreed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.client.sidecar.refusals import Both
from tests.client.sidecar.world import running

from privet.client.sidecar.server import SidecarLimits


@pytest.fixture
def agreed(tmp_path: Path) -> Iterator[Both]:
    """A sidecar of a user who agreed, with short limits."""
    with running(tmp_path, limits=SidecarLimits(connections=3, seconds=0.6)) as found:
        found[1].consent.grant("personalize")
        yield found
