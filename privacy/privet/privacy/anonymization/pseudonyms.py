"""Keyed pseudonyms: one identifier, another name for each purpose and each epoch.

A pseudonym is HMAC-SHA256 (RFC 2104, FIPS 180-4) under a random key that lives for one epoch, of an
injective encoding of a domain, which names the purpose, and the identifier. A plain hash would be
no protection: whoever can list the identifiers hashes them all (Article 29 Working Party, Opinion
05/2014, section 4).

Formal Guarantees:
    While an epoch's key is secret and HMAC-SHA256 is a pseudorandom function, pseudonyms are
    unlinkable across domains and epochs, and reveal nothing about the identifier but whether two
    in the same domain and epoch are equal. Nothing is promised about the rows that carry them.

    Pseudonyms are still personal data (GDPR Art. 4(5), recital 26). Destroying a key removes the
    link from identifier to pseudonym of that epoch, and no more: an interaction history under a
    pseudonym identifies its user by itself (see `privet.privacy.anonymization.unicity`), so a
    history that is carried over an epoch links the two pseudonyms again.

Edge Case Handling:
    ===========================  ===================================================
    empty domain or identifier   InputError
    identifier 1 and text "1"    two identifiers with two pseudonyms
    text in another Unicode form another identifier; normalise before
    half of a surrogate pair     InputError
    destroyed or unknown epoch   PrivacyError
    short key, or one key twice  PrivacyError
    ===========================  ===================================================
"""

import hmac
import secrets
from collections.abc import Mapping
from typing import TypeAlias

from privet.privacy.errors import InputError, PrivacyError

Identifier: TypeAlias = str | int

KEY_BYTES = 32
_VERSION = b"privet-pseudonym-1"


def encode(domain: str, identifier: Identifier) -> bytes:
    """The bytes that are authenticated: version, domain, type and identifier, each with its length.

    No two pairs of domain and identifier share an encoding, whatever they contain.

    Raises:
        InputError: If either is empty, or is neither text nor a whole number.
    """
    if not isinstance(domain, str) or not domain:
        raise InputError("Expected a domain that names the purpose, found none.")
    if isinstance(identifier, bool) or not isinstance(identifier, str | int):
        raise InputError(
            f"Expected an identifier that is text or a whole number, found a "
            f"{type(identifier).__name__}."
        )
    if identifier == "":
        raise InputError("Expected an identifier, found empty text.")
    kind = b"text" if isinstance(identifier, str) else b"integer"
    parts = (_VERSION, _utf8(domain), kind, _utf8(str(identifier)))
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


class Pseudonyms:
    """The keys of all epochs, and the pseudonyms that they make.

    Keys are independent, so destroying one leaves nothing from which it could be derived again.

    Example:
        >>> names = Pseudonyms.fresh()
        >>> first = names.pseudonym("export/billing", 17)
        >>> names.matches(first, "export/billing", 17)
        True
        >>> first == names.pseudonym("export/research", 17)
        False
        >>> names.rotate()
        1
        >>> names.destroy(0)
        >>> names.pseudonym("export/billing", 17) == first
        False
    """

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        """Take up keys that were kept: epoch to 32 secret bytes."""
        if not keys:
            raise PrivacyError("Expected the key of at least one epoch, found none.")
        for epoch, key in keys.items():
            if isinstance(epoch, bool) or not isinstance(epoch, int) or epoch < 0:
                raise InputError("Expected epochs to be whole numbers from 0.")
            if len(key) != KEY_BYTES:
                raise PrivacyError(f"Expected a key of {KEY_BYTES} bytes, found {len(key)}.")
        if len(set(map(bytes, keys.values()))) < len(keys):
            raise PrivacyError("Two epochs have the same key; their pseudonyms would be linked.")
        self._keys = {epoch: bytearray(key) for epoch, key in keys.items()}
        self.epoch = max(keys)

    @classmethod
    def fresh(cls) -> "Pseudonyms":
        """Epoch 0 under a new key from the operating system."""
        return cls({0: secrets.token_bytes(KEY_BYTES)})

    def __repr__(self) -> str:
        """The epochs, never a key."""
        return f"Pseudonyms(epoch={self.epoch}, keys of epochs {sorted(self._keys)})"

    def export_keys(self) -> dict[int, bytes]:
        """Copies of all keys, for an encrypted store. Secret; `destroy` does not reach copies."""
        return {epoch: bytes(key) for epoch, key in self._keys.items()}

    def rotate(self) -> int:
        """Start the next epoch under a new key. The old key stays until it is destroyed."""
        self.epoch += 1
        self._keys[self.epoch] = bytearray(secrets.token_bytes(KEY_BYTES))
        return self.epoch

    def destroy(self, epoch: int) -> None:
        """Overwrite and forget an epoch's key; its pseudonyms can no longer be made or matched.

        Copies that were exported, and those that Python or the system made, are out of reach:
        delete the store's own and rely on disk and swap encryption for the rest.

        Raises:
            PrivacyError: If there is no such key.
        """
        key = self._key(epoch)
        key[:] = bytes(len(key))
        del self._keys[epoch]

    def pseudonym(self, domain: str, identifier: Identifier, *, epoch: int | None = None) -> str:
        """The identifier's name for one purpose in one epoch, 64 hexadecimal digits.

        Args:
            domain: The purpose. Use another one for each recipient and each export.
            identifier: Who is meant. Secret.
            epoch: The current one by default.

        Raises:
            InputError: See `encode`.
            PrivacyError: If the epoch's key was destroyed or never existed.
        """
        key = self._key(self.epoch if epoch is None else epoch)
        return hmac.digest(bytes(key), encode(domain, identifier), "sha256").hex()

    def matches(
        self, pseudonym: str, domain: str, identifier: Identifier, *, epoch: int | None = None
    ) -> bool:
        """Whether a pseudonym is this identifier's, compared in constant time."""
        expected = self.pseudonym(domain, identifier, epoch=epoch)
        return hmac.compare_digest(expected.encode(), pseudonym.encode("utf-8", "replace"))

    def _key(self, epoch: int) -> bytearray:
        try:
            return self._keys[epoch]
        except KeyError:
            raise PrivacyError(
                f"There is no key for epoch {epoch}: it was destroyed or never made. Its "
                "pseudonyms cannot be linked to identifiers any more."
            ) from None


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise InputError("Expected Unicode text, found half of a surrogate pair.") from None
