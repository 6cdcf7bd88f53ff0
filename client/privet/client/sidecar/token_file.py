"""The file by which an app on this device finds its sidecar: port and token, for the owner only."""

import json
import os
from pathlib import Path

from privet.client.vault.kept_key import sync_folder
from privet.privacy.errors import InputError


class TokenFile:
    """A file of mode 0600 with port and token as JSON; replaced at once, removed by `remove`.

    Args:
        path: The file. One that is there is replaced.
        port: Of the sidecar.
        token: What requests must show.

    Raises:
        InputError: It cannot be written.
    """

    def __init__(self, path: Path, *, port: int, token: str) -> None:
        """Write it: readers see the old file or this one, whole."""
        self._path = path
        self._data = json.dumps({"port": port, "token": token}).encode()
        new = path.with_name(path.name + ".new")
        try:
            new.unlink(missing_ok=True)
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(self._data)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
            sync_folder(path.parent)
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}.") from error

    def remove(self) -> None:
        """Remove it, unless another sidecar has replaced it; a missing file is removed already."""
        try:
            if self._path.read_bytes() == self._data:
                self._path.unlink()
        except FileNotFoundError:
            return
        except OSError as error:
            raise InputError(f"{self._path} cannot be removed: {error.strerror}.") from error
