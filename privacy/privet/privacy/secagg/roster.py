"""The roster: whose keys take part in one round, under which terms and with which graph.

The server signs it, every device checks it against its own terms and its own table, and its hash
is in every key, envelope and signature that follows.
"""

import hashlib
from dataclasses import dataclass
from itertools import pairwise

from privet.privacy.errors import InputError, PrivacyError
from privet.privacy.secagg.device_messages import Advert
from privet.privacy.secagg.parameters import LARGEST_COHORT, GraphParameters
from privet.privacy.secagg.primitives import (
    KEY_BYTES,
    SIGNATURE_BYTES,
    SigningKey,
    agree,
    context,
    verify,
)
from privet.privacy.secagg.terms import Terms
from privet.privacy.secagg.wire import Kind, Reader, header, u16, u32


@dataclass(frozen=True, kw_only=True)
class Roster:
    """A roster that was checked against a device's own terms.

    Attributes:
        terms: The terms.
        parameters: The graph.
        adverts: By ascending identity; a device's position is its index here.
        hash: SHA-256 of all of it but the server's signature.
    """

    terms: Terms
    parameters: GraphParameters
    adverts: tuple[Advert, ...]
    hash: bytes

    def verify_advert(self, position: int) -> None:
        """Check that the device at a position signed its keys for these terms.

        Raises:
            IntegrityError: It did not.
        """
        check_advert(self.adverts[position], self.terms)


def check_advert(advert: Advert, terms: Terms) -> None:
    """Check an advert's signature, over the terms and its keys.

    Raises:
        IntegrityError: Another device, other terms or other keys.
    """
    verify(advert.identity, advert.signature, b"advert", terms.digest, *advert.signed)


def check_keys(advert: Advert) -> None:
    """Check that others can agree on keys with this device, so that it cannot stop them all.

    Raises:
        IntegrityError: A public key is of low order.
    """
    for key in (advert.mask_key, advert.envelope_key):
        agree(b"\1" * KEY_BYTES, key)


def check_certificate(advert: Advert, terms: Terms) -> None:
    """Check an identity's certificate, if the terms ask for one.

    Raises:
        IntegrityError: The certifier did not certify this identity.
    """
    if terms.certifier_key is not None:
        verify(terms.certifier_key, advert.certificate, b"certificate", advert.identity)


def encode_roster(terms: Terms, adverts: list[Advert], key: SigningKey) -> bytes:
    """The signed roster over these adverts.

    Raises:
        PrivacyError: The cohort is too small, or has no graph.
    """
    ordered = sorted(adverts, key=lambda advert: advert.identity)
    parameters = terms.parameters(len(ordered))
    sizes = u32(len(ordered)) + u16(parameters.neighbours) + u16(parameters.threshold)
    body = b"".join(value for _, value in terms.fields) + sizes
    unsigned = header(Kind.ROSTER) + body + b"".join(a.entry() for a in ordered)
    return unsigned + key.sign(b"roster", hashlib.sha256(unsigned).digest())


def open_roster(data: bytes, terms: Terms) -> Roster:
    """Read a roster and check it against one's own terms and table.

    Args:
        data: The message.
        terms: The device's own terms.

    Returns:
        The roster. Adverts' signatures are checked when their keys are first used.

    Raises:
        InputError: Not a roster, or devices are out of order or named twice.
        IntegrityError: The server did not sign it, or an identity is not certified.
        PrivacyError: It is for other terms, too small a cohort, or another graph than the
            device's own table has.
    """
    reader = Reader(data, Kind.ROSTER)
    for name, expected in terms.fields:
        if reader.take(len(expected)) != expected:
            raise PrivacyError(f"The roster has another {name} than this device agreed to.")
    devices, neighbours, threshold = reader.u32(), reader.u16(), reader.u16()
    if devices > LARGEST_COHORT:
        raise InputError(f"Expected at most {LARGEST_COHORT} devices in a roster.")
    reader.expect(devices * Advert.entry_bytes(terms.certified) + SIGNATURE_BYTES)
    parameters = terms.parameters(devices)
    if (neighbours, threshold) != (parameters.neighbours, parameters.threshold):
        raise PrivacyError(
            f"The roster's graph has k={neighbours}, t={threshold}; this device's table has "
            f"k={parameters.neighbours}, t={parameters.threshold} for {devices} devices."
        )
    roster_hash = hashlib.sha256(data[:-SIGNATURE_BYTES]).digest()
    verify(terms.server_key, data[-SIGNATURE_BYTES:], b"roster", roster_hash)
    adverts = tuple(Advert.read(reader, terms.certified) for _ in range(devices))
    _check_different(adverts)
    for advert in adverts:
        check_certificate(advert, terms)
    return Roster(terms=terms, parameters=parameters, adverts=adverts, hash=roster_hash)


def _check_different(adverts: tuple[Advert, ...]) -> None:
    identities = [advert.identity for advert in adverts]
    if any(b <= a for a, b in pairwise(identities)):
        raise InputError("The roster's identities are not in ascending order, each once.")
    for name in ("mask_key", "envelope_key", "commitment"):
        if len({getattr(advert, name) for advert in adverts}) != len(adverts):
            raise InputError(f"Two devices of the roster have the same {name}.")


def envelope_context(roster: Roster, source: int, destination: int) -> bytes:
    """What an envelope and its key are bound to: run, round, roster and both ends in order."""
    terms = roster.terms
    return context(
        b"envelope",
        hashlib.sha256(terms.run.encode()).digest(),
        terms.round_number.to_bytes(4, "big"),
        roster.hash,
        roster.adverts[source].identity,
        roster.adverts[destination].identity,
    )


def seed_commitment(seed: bytes, roster: Roster, position: int) -> bytes:
    """A hash of a device's seed, by which wrong shares are noticed."""
    identity = roster.adverts[position].identity
    parts = context(b"seed commitment", roster.hash, identity, seed)
    return hashlib.sha256(parts).digest()
