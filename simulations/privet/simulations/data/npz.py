"""Archives of arrays, read without pickle and with errors that a person can use."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from privet.models.archive import check_archive
from privet.privacy.errors import InputError


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an npz file.

    Raises:
        InputError: There is no such file, it is no npz file, or it is truncated or damaged.
    """
    try:
        # A handle of our own: numpy leaves its own open when the archive is broken.
        with path.open("rb") as handle:
            check_archive(handle, compressed=True)
            with np.load(handle, allow_pickle=False) as file:
                return {name: np.asarray(file[name]) for name in file.files}
    except FileNotFoundError:
        raise InputError(f"There is no file {path}.") from None
    except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        # RuntimeError: what zipfile says about encryption and methods that it does not know.
        raise InputError(
            f"{path} is not an archive of arrays ({path.suffix}), or is truncated or damaged."
        ) from error
