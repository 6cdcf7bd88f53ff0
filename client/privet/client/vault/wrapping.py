"""The data key, wrapped by the key of a source: AES-256-GCM, each wrapping key used once."""

import json
import os
from dataclasses import dataclass
from typing import Any

from privet.client.vault.key_source import KeySource, Params
from privet.client.vault.sealing import KEY_BYTES, NONCE_BYTES, associated
from privet.client.vault.vault_file import SCHEMA_VERSION, Meta
from privet.privacy.canonical import canonical_bytes
from privet.privacy.errors import InputError, IntegrityError


@dataclass(frozen=True, kw_only=True, repr=False)
class Wrapping:
    """A data key and what the file holds of it.

    Attributes:
        key: The data key, 32 bytes.
        text: Kind of the source and its parameters, as in the file.
        wrapped: The data key under the source's key, bound to store and text.
    """

    key: bytes
    text: str
    wrapped: bytes


def wrap(source: KeySource, store: bytes, key: bytes) -> Wrapping:
    """Wrap a data key under a fresh key of a source."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    params, wrapping_key = source.create()
    text = canonical_bytes({"kind": source.kind, "params": dict(params)}).decode()
    nonce = os.urandom(NONCE_BYTES)
    wrapped = nonce + AESGCM(wrapping_key).encrypt(nonce, key, _bound(store, text))
    return Wrapping(key=key, text=text, wrapped=wrapped)


def unwrap(source: KeySource, meta: Meta) -> Wrapping:
    """Find the data key of a store.

    Raises:
        InputError: The source is of another kind, has no key, or has another one.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    wrapping_key = source.find(params_of(source, meta.wrapping))
    nonce, rest = meta.wrapped[:NONCE_BYTES], meta.wrapped[NONCE_BYTES:]
    try:
        key = AESGCM(wrapping_key).decrypt(nonce, rest, _bound(meta.store, meta.wrapping))
    except (InvalidTag, ValueError):
        raise InputError(
            "This key does not open the store: it is another one, or the file's header was "
            "changed. Nothing was changed."
        ) from None
    if len(key) != KEY_BYTES:
        raise IntegrityError("The store is damaged: its key has another length.")
    return Wrapping(key=key, text=meta.wrapping, wrapped=meta.wrapped)


def params_of(source: KeySource, text: str) -> Params:
    """The parameters for a source in the text of a wrapping.

    Raises:
        InputError: The text names another kind of source.
        IntegrityError: The text is damaged.
    """
    try:
        found: Any = json.loads(text)
        kind, params = found["kind"], dict(found["params"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise IntegrityError("The store is damaged: its header names no key.") from None
    if kind != source.kind:
        kinds = ("host", "passphrase", "keyring", "key file")
        needed = kind if kind in kinds else "another kind of key"
        raise InputError(
            f"This store is opened by: {needed}. Found: {source.kind}. Nothing was changed."
        )
    return params


def _bound(store: bytes, text: str) -> bytes:
    return associated(b"wrapped", store, SCHEMA_VERSION.to_bytes(4, "big"), text.encode())
