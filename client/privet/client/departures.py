"""Which federations a device has left for good: a file that holds no name, no time and no count.

A device that forgot everything could join again under a new identity and contribute once more, with
fresh noise, to the same sums: the mean of two answers has less noise than was promised. So one bit has
to stay: that this device has taken part in a plan. See ``docs/decisions/0013-what-stays-after-erasure.md``.
"""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from privet.privacy.canonical import Json, canonical_bytes, parse_canonical
from privet.privacy.errors import InputError, IntegrityError, PrivacyError, PrivetError

_VERSION = 1
_SALT_BYTES = 16
_MAX_BYTES = 1 << 20


class Departures:
    """The plans that a device has left after it took part.

    Args:
        path: Of the file; there is none until a device leaves.

    Formal Guarantees:
        The file holds a random salt and a salted hash for each plan. Who has the file can tell whether
        the device took part in a plan that they know, and nothing else.
    """

    def __init__(self, path: Path) -> None:
        """Read nothing yet."""
        self._path = path

    def check(self, plan_hash: str) -> None:
        """Refuse a plan that the device has left.

        Raises:
            PrivacyError: It has.
            IntegrityError: The file is damaged, so nobody knows.
        """
        salt, left = self._read()
        if _marked(salt, plan_hash) in left:
            raise PrivacyError(
                "This device took part in this plan and left: what it sent has noise for so many "
                "answers as were agreed, and a new identity would add more. Join when the "
                "federation has a new plan. Nothing was made or sent."
            )

    def add(self, plan_hashes: Iterable[str]) -> None:
        """Note plans, durably; no file is made for none.

        Raises:
            InputError: It cannot be written.
            IntegrityError: The file is damaged.
        """
        new = set(plan_hashes)
        if not new:
            return
        salt, left = self._read()
        body = {
            "version": _VERSION,
            "salt": salt.hex(),
            "left": sorted(left | {_marked(salt, plan_hash) for plan_hash in new}),
        }
        partial = self._path.with_name(self._path.name + ".partial")
        try:
            partial.unlink(missing_ok=True)
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(canonical_bytes(body))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._path)
            _sync(self._path.parent)
        except OSError as error:
            raise InputError(f"{self._path} cannot be written: {error.strerror}.") from error

    @property
    def count(self) -> int:
        """How many plans were left."""
        return len(self._read()[1])

    def _read(self) -> tuple[bytes, set[str]]:
        if not self._path.exists():
            return os.urandom(_SALT_BYTES), set()
        damaged = IntegrityError(
            f"{self._path} is damaged. Which federations this device has left is not known, so it "
            "must not join one that it may have been in."
        )
        try:
            with self._path.open("rb") as file:
                body: Json = parse_canonical(file.read(_MAX_BYTES + 1))
        except PrivetError:
            raise damaged from None
        if not isinstance(body, dict) or set(body) != {"version", "salt", "left"}:
            raise damaged
        salt, left = body["salt"], body["left"]
        if body["version"] != _VERSION or type(salt) is not str or not isinstance(left, list):
            raise damaged
        marks = {mark for mark in left if isinstance(mark, str)}
        if len(marks) != len(left) or not _is_hex(salt, _SALT_BYTES):
            raise damaged
        if not all(_is_hex(mark, hashlib.sha256().digest_size) for mark in marks):
            raise damaged
        return bytes.fromhex(salt), marks


def _marked(salt: bytes, plan_hash: str) -> str:
    return hashlib.sha256(salt + plan_hash.encode()).hexdigest()


def _is_hex(text: str, size: int) -> bool:
    return len(text) == 2 * size and not set(text) - set("0123456789abcdef")


def _sync(folder: Path) -> None:
    """Make the new name durable, where folders can be synced."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
