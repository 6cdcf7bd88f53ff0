"""Writing files that only their owner may read, so that they are there whole or not at all."""

import os
from pathlib import Path

from privet.privacy.errors import InputError


def write_new(path: Path, data: bytes) -> None:
    """Write a new file, 0600, durably.

    Raises:
        InputError: There is one already.
    """
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(partial, path)
    except FileExistsError as error:
        raise InputError(f"{path} is there already; nothing is overwritten.") from error
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_over(path: Path, data: bytes) -> None:
    """Write a file, 0600, durably, in the place of one that may be there.

    Whoever reads it finds the old bytes or the new ones, never a part.
    """
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    write_new(new, data)
    new.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
