"""Where the key that wraps a store's data key comes from: the host app or a passphrase.

Two more that are kept by this device are in :mod:`privet.client.vault.kept_key`. A source makes a
fresh wrapping key with public parameters, which the store's file holds, and finds the same key again
from these. No source ever falls back to another one, or to none.
"""

import hmac
import os
import unicodedata
from collections.abc import Mapping
from typing import Protocol, TypeAlias, runtime_checkable

from privet.client.vault.sealing import KEY_BYTES
from privet.privacy.errors import InputError

Params: TypeAlias = Mapping[str, str | int]
_SALT_BYTES = 16
_HIGHEST = {"memory_kib": 1 << 20, "iterations": 64, "lanes": 16, "log2_n": 20, "block": 32}
_LOWEST_ARGON2 = {"memory_kib": 19456, "iterations": 2, "lanes": 1}
_LOWEST_SCRYPT = {"log2_n": 14, "block": 8, "lanes": 1}


@runtime_checkable
class KeySource(Protocol):
    """Makes, finds and destroys wrapping keys of 32 bytes.

    Attributes:
        kind: One word that the store's file records, so that an opening with another kind of
            source can be told so.
    """

    kind: str

    def create(self) -> tuple[Params, bytes]:
        """A fresh wrapping key, and the public parameters to find it again."""
        ...

    def find(self, params: Params) -> bytes:
        """The key that `create` made with these parameters, or a wrong one.

        Raises:
            InputError: There is none; says what to do.
        """
        ...

    def destroy(self, params: Params) -> bool:
        """Remove the key for good; False where it is not this source's to remove."""
        ...


class HostKey:
    """32 bytes that the host app keeps where it keeps its secrets.

    Args:
        key: The bytes, random. Whether they are destroyed is up to the host.
    """

    kind = "host"

    def __init__(self, key: bytes) -> None:
        """Check the length."""
        if not isinstance(key, bytes) or len(key) != KEY_BYTES:
            raise InputError(f"Expected the host's key to be {KEY_BYTES} random bytes.")
        self._key = key

    def create(self) -> tuple[Params, bytes]:
        """A key derived with a fresh salt."""
        params: Params = {"salt": os.urandom(_SALT_BYTES).hex()}
        return params, self.find(params)

    def find(self, params: Params) -> bytes:
        """The key of this salt."""
        return hmac.digest(self._key, b"privet vault: host" + salt_of(params), "sha256")

    def destroy(self, params: Params) -> bool:
        """Nothing: the bytes are the host's."""
        return False


class Passphrase:
    """What the user knows, through Argon2id (RFC 9106) or scrypt (RFC 7914).

    The defaults are RFC 9106's second recommended option: 3 passes over 64 MiB in 4 lanes, some
    tenths of a second at each opening. Parameters are stored in the file.

    Args:
        text: The passphrase, in any script; the same text in another Unicode form is the same.
        scrypt: Use scrypt with n = 2^17 instead, where Argon2id is missing.
        memory_kib: Argon2id's memory, 19456 at least (OWASP's lowest).
        iterations: Argon2id's passes.
        lanes: Argon2id's lanes.
    """

    kind = "passphrase"

    def __init__(
        self,
        text: str,
        *,
        scrypt: bool = False,
        memory_kib: int = 65536,
        iterations: int = 3,
        lanes: int = 4,
    ) -> None:
        """Check the parameters."""
        if not isinstance(text, str) or not text:
            raise InputError("Expected a passphrase, found none.")
        try:
            self._text = unicodedata.normalize("NFC", text).encode()
        except UnicodeEncodeError:
            raise InputError("Expected a passphrase of whole Unicode characters.") from None
        self._new: dict[str, str | int]
        if scrypt:
            self._new = {"kdf": "scrypt", "log2_n": 17, "block": 8, "lanes": 1}
        else:
            cost = {"memory_kib": memory_kib, "iterations": iterations, "lanes": lanes}
            self._new = {"kdf": "argon2id", **cost}
        _check_cost(self._new)

    def create(self) -> tuple[Params, bytes]:
        """A key with a fresh salt."""
        params = {**self._new, "salt": os.urandom(_SALT_BYTES).hex()}
        return params, self.find(params)

    def find(self, params: Params) -> bytes:
        """The key with the parameters and the salt of the file."""
        cost = _check_cost(params)
        salt = salt_of(params)
        if params["kdf"] == "scrypt":
            from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

            n, block = 1 << cost["log2_n"], cost["block"]
            return Scrypt(salt=salt, length=KEY_BYTES, n=n, r=block, p=cost["lanes"]).derive(
                self._text
            )
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

        try:
            return Argon2id(
                salt=salt,
                length=KEY_BYTES,
                iterations=cost["iterations"],
                lanes=cost["lanes"],
                memory_cost=cost["memory_kib"],
            ).derive(self._text)
        except UnsupportedAlgorithm:
            raise InputError(
                "This build of cryptography has no Argon2id. Use scrypt, or a build with OpenSSL "
                "3.2 or newer."
            ) from None

    def destroy(self, params: Params) -> bool:
        """Nothing: what is known cannot be destroyed; the salt in the file is overwritten."""
        return False


def salt_of(params: Params) -> bytes:
    """The salt among parameters.

    Raises:
        InputError: There is none.
    """
    found = params.get("salt")
    try:
        salt = bytes.fromhex(found) if isinstance(found, str) else b""
    except ValueError:
        salt = b""
    if len(salt) != _SALT_BYTES:
        raise InputError("The store's file names no salt for its key: it is damaged.")
    return salt


def _check_cost(params: Params) -> dict[str, int]:
    """The cost parameters, none so low that they protect nothing or so high that they hang."""
    kdf = params.get("kdf")
    lowest = {"argon2id": _LOWEST_ARGON2, "scrypt": _LOWEST_SCRYPT}.get(str(kdf))
    if lowest is None:
        raise InputError("Expected the key derivation argon2id or scrypt, found another.")
    cost = {}
    for name, least in lowest.items():
        value = params.get(name)
        if type(value) is not int or not least <= value <= _HIGHEST[name]:
            raise InputError(f"Expected {kdf}'s {name} in [{least}, {_HIGHEST[name]}].")
        cost[name] = value
    return cost
