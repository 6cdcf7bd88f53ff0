"""Wrapping keys that this device keeps: in the operating system's keyring, or in a file."""

import json
import os
from pathlib import Path
from typing import Any

from privet.client.vault.key_source import Params
from privet.client.vault.sealing import KEY_BYTES
from privet.privacy.errors import InputError, IntegrityError

_SLOT_BYTES = 16
_LARGEST_FILE = 1 << 16
_NO_KEYRING = (
    "This device has no keyring that could hold the key. Use a passphrase, a key of the host app, "
    "or a key file that only its owner can read; nothing is ever stored in the clear instead."
)


class KeyringKey:
    """A key in the operating system's keyring, by the extra ``keyring``.

    Args:
        service: The name under which the keyring lists it; the app's.
    """

    kind = "keyring"

    def __init__(self, service: str = "privet") -> None:
        """Nothing is opened yet."""
        self._service = service

    def create(self) -> tuple[Params, bytes]:
        """A fresh random key under a fresh name."""
        params: Params = {"slot": os.urandom(_SLOT_BYTES).hex()}
        key = os.urandom(KEY_BYTES)
        self._call("set_password", _slot(params), key.hex())
        if self.find(params) != key:
            raise InputError(_NO_KEYRING)
        return params, key

    def find(self, params: Params) -> bytes:
        """The key under this name."""
        found = self._call("get_password", _slot(params))
        if not isinstance(found, str):
            raise InputError(
                "The keyring has no key for this store: it was deleted, or is another user's or "
                "another device's. Without it the store cannot be read by anyone."
            )
        return _key(found)

    def destroy(self, params: Params) -> bool:
        """Delete the entry; an entry that is gone already is destroyed."""
        if self._call("get_password", _slot(params)) is not None:
            self._call("delete_password", _slot(params))
        return True

    def _call(self, name: str, slot: str, *more: str) -> Any:
        try:
            import keyring
            from keyring.errors import KeyringError, NoKeyringError
        except ImportError:
            raise InputError(
                'The keyring needs the extra: pip install "privet[keyring]". ' + _NO_KEYRING
            ) from None
        try:
            backend = keyring.get_keyring()
            chained = getattr(backend, "backends", [backend])
            if any("plaintext" in type(one).__name__.lower() for one in chained):
                raise InputError(_NO_KEYRING)
            return getattr(backend, name)(self._service, slot, *more)
        except NoKeyringError:
            raise InputError(_NO_KEYRING) from None
        except KeyringError:
            raise InputError(
                "The keyring refused: it is locked, or access was denied. Unlock it and try again."
            ) from None


class KeyFile:
    """A key in a file that only its owner can read; asked for by name, never by default.

    Whoever can read both files can read the store: put it elsewhere than the store and its backups.
    One store a key file: two processes that change one at the same time could lose a key.

    Args:
        path: The file; made when a store is made, if it is missing.
    """

    kind = "key file"

    def __init__(self, path: Path) -> None:
        """Nothing is opened yet."""
        self._path = path

    def create(self) -> tuple[Params, bytes]:
        """A fresh random key in a slot of its own beside those that are there."""
        params: Params = {"slot": os.urandom(_SLOT_BYTES).hex()}
        key = os.urandom(KEY_BYTES)
        slots = self._read() if self._path.exists() else {}
        self._write({**slots, _slot(params): key.hex()})
        return params, key

    def find(self, params: Params) -> bytes:
        """The key in this slot."""
        if not self._path.exists():
            raise InputError(f"No key file at {self._path}. Without it the store cannot be read.")
        found = self._read().get(_slot(params))
        if found is None:
            raise InputError(f"{self._path} has no key for this store: it is another store's.")
        return _key(found)

    def destroy(self, params: Params) -> bool:
        """Write the file anew without the slot, then overwrite the old file's bytes."""
        if not self._path.exists():
            return True
        slots = self._read()
        if slots.pop(_slot(params), None) is None:
            return True
        try:
            with self._path.open("r+b") as old:  # still reachable when the file is replaced
                size = os.fstat(old.fileno()).st_size
                self._write(slots)
                old.write(b"\0" * size)
                old.flush()
                os.fsync(old.fileno())
        except OSError as error:
            raise InputError(f"{self._path} cannot be written: {error.strerror}.") from error
        return True

    def _read(self) -> dict[str, str]:
        try:
            if os.name == "posix" and self._path.stat().st_mode & 0o077:
                raise InputError(f"Others than its owner may use it. Run: chmod 600 {self._path}")
            with self._path.open("rb") as file:
                found = json.loads(file.read(_LARGEST_FILE))
        except OSError as error:
            raise InputError(f"{self._path} cannot be read: {error.strerror}.") from error
        except (ValueError, RecursionError):
            raise IntegrityError(f"{self._path} is no key file, or damaged.") from None
        if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
            raise IntegrityError(f"{self._path} is no key file, or damaged.")
        return found

    def _write(self, slots: dict[str, str]) -> None:
        """Replace the file at once; a crash leaves the old one or the new one."""
        new = self._path.with_name(self._path.name + ".new")
        try:
            new.unlink(missing_ok=True)
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(json.dumps(slots).encode())
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
            sync_folder(self._path.parent)
        except OSError as error:
            raise InputError(f"{self._path} cannot be written: {error.strerror}.") from error


def sync_folder(folder: Path) -> None:
    """Make a rename durable, where the system can."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _slot(params: Params) -> str:
    found = params.get("slot")
    if not isinstance(found, str) or len(found) != 2 * _SLOT_BYTES:
        raise InputError("The store's file names no key: it is damaged.")
    return found


def _key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise IntegrityError("The key that was kept for this store is damaged.")
    return key
