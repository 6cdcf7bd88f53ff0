"""A client with a store that is gone after a test."""

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from privet.client.client import Client
from privet.client.vault.key_source import HostKey
from privet.models.catalogue import Catalogue

_MEMORY = Path("/dev/shm")
_MOUNTS = Path("/proc/mounts")


def memory_folder() -> Path | None:
    """A folder of a file system in RAM that may be written to; None if none is known.

    Linux alone says so. Such a file system may be swapped out to a disk.
    """
    try:
        mounts = [line.split()[1:3] for line in _MOUNTS.read_text().splitlines()]
        if [str(_MEMORY), "tmpfs"] not in mounts:
            return None
        with tempfile.TemporaryFile(dir=_MEMORY):
            return _MEMORY
    except OSError:
        return None


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """An empty folder for its owner only, in RAM where `memory_folder` knows one; removed at the end."""
    with tempfile.TemporaryDirectory(prefix="privet-test-", dir=memory_folder()) as name:
        yield Path(name)


@contextmanager
def temporary_client(catalogue: Catalogue, **options: Any) -> Iterator[Client]:
    """A client on a new store under a random key, closed and removed at the end.

    It is the real client on the real, encrypted store. There is no store without files: where the
    system has a file system in RAM they are there, and else in the folder for temporary files, on
    the disk. A test that kills its process leaves them.

    Args:
        catalogue: The items.
        options: Of `Client.open`; the path is the kit's, the key too if none is given.
    """
    given: dict[str, Any] = {"key": HostKey(secrets.token_bytes(32))} | options
    with (
        temporary_folder() as folder,
        Client.open(folder / "me.db", catalogue=catalogue, **given) as client,
    ):
        yield client
