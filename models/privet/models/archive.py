"""Archives of arrays (npz) that someone else may have written, checked before they are loaded.

numpy allocates what an array's header declares before it reads the array, so a few bytes could ask
for gigabytes.
"""

import math
import zipfile
from typing import IO

import numpy as np

_LARGEST_HEADER = 1 << 12


def check_archive(file: IO[bytes], *, compressed: bool) -> None:
    """Check that every array of an archive is as large as its header says; reads headers only.

    Args:
        file: The archive; its position is at the start afterwards.
        compressed: Whether members may be compressed, so that arrays may be larger than the file,
            up to about a thousand times.

    Raises:
        ValueError: It is no archive of arrays, or an array is not of its declared size.
        zipfile.BadZipFile: It is damaged.
    """
    if file.read(2) != b"PK":
        raise ValueError("no archive")
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED and not compressed:
                raise ValueError("a compressed member")
            with archive.open(member) as array:
                _check_array(array, member.file_size)
    file.seek(0)


def _check_array(array: IO[bytes], size: int) -> None:
    version = np.lib.format.read_magic(array)
    if version != (1, 0):
        raise ValueError("another version of the format of arrays")
    found = np.lib.format.read_array_header_1_0(array, max_header_size=_LARGEST_HEADER)
    shape, _, kind = found
    if kind.hasobject or array.tell() + math.prod(shape) * kind.itemsize != size:
        raise ValueError("an array of another size than its header says")
