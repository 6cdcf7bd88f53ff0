"""What a device agreed to before a round: the public constants that every message is bound to.

A device makes its own `Terms` from the plan that its user agreed to and from the bytes of the
model that it received. It never takes them from the server.
"""

import hashlib
from dataclasses import dataclass

from privet.privacy.errors import InputError, PrivacyError
from privet.privacy.secagg.parameters import (
    LARGEST_COHORT,
    GraphParameters,
    split_resistant_parameters,
)

LARGEST_DIMENSION = 1 << 24
_NO_KEY = bytes(32)


@dataclass(frozen=True, kw_only=True)
class Terms:
    """One round of one group.

    Attributes:
        run: Name of the run, 1 to 64 ASCII characters.
        plan_hash: SHA-256 of the plan, in hexadecimal.
        model_hash: SHA-256 of the shared state that the device received, in hexadecimal.
        round_number: Counts attempts, from 0: a round that is tried again has a new number.
        dimension: Length of the vector.
        min_survivors: Fewest devices in a sum; the noise is set for it.
        corrupt_permille: Devices assumed corrupt, in thousandths of the roster.
        drop_permille: Devices assumed to drop out at worst, likewise.
        server_key: Ed25519 key that signs rosters, pinned with the plan.
        certifier_key: Ed25519 key that certifies identities, of someone other than the server;
            None if nobody does.

    Formal Guarantees:
        Without `certifier_key` the guarantee against a malicious server (A4) is none: it can
        invent all devices of a cohort but one, and the sum is that one's vector. The checks of
        the protocol then hold against an honest-but-curious server only.
    """

    run: str
    plan_hash: str
    model_hash: str
    round_number: int
    dimension: int
    min_survivors: int
    corrupt_permille: int
    drop_permille: int
    server_key: bytes
    certifier_key: bytes | None = None

    def __post_init__(self) -> None:
        """Refuse terms that cannot be written down.

        Raises:
            InputError: A field is out of range, named.
        """
        _check_hash("plan_hash", self.plan_hash)
        _check_hash("model_hash", self.model_hash)
        if not 1 <= len(self.run) <= 64 or not self.run.isascii():
            raise InputError("Expected a run's name of 1 to 64 ASCII characters.")
        for name, low, high in (
            ("round_number", 0, 2**32 - 1),
            ("dimension", 1, LARGEST_DIMENSION),
            ("min_survivors", 2, LARGEST_COHORT),
            ("corrupt_permille", 0, 499),
            ("drop_permille", 0, 499),
        ):
            if not low <= getattr(self, name) <= high:
                raise InputError(
                    f"Expected {name} from {low} to {high}, found {getattr(self, name)}."
                )
        if len(self.server_key) != 32 or len(self.certifier_key or _NO_KEY) != 32:
            raise InputError("Expected public keys of 32 bytes.")
        if self.certifier_key in (self.server_key, _NO_KEY):
            raise InputError("Expected a certifier who is not the server, and a key of it.")

    @property
    def certified(self) -> bool:
        """Whether identities are certified by someone other than the server."""
        return self.certifier_key is not None

    @property
    def guarantee_against_malicious_server(self) -> str:
        """What a report may say about A4."""
        if not self.certified:
            return "none"
        return (
            "a sum of at least min_survivors devices, if the certifier certifies at most the "
            "assumed fraction of corrupt devices in any cohort"
        )

    @property
    def fields(self) -> tuple[tuple[str, bytes], ...]:
        """Every field by name as it is written in a roster."""
        return (
            ("run", hashlib.sha256(self.run.encode()).digest()),
            ("plan", bytes.fromhex(self.plan_hash)),
            ("model", bytes.fromhex(self.model_hash)),
            ("round", self.round_number.to_bytes(4, "big")),
            ("dimension", self.dimension.to_bytes(4, "big")),
            ("minimum of survivors", self.min_survivors.to_bytes(4, "big")),
            ("corrupt fraction", self.corrupt_permille.to_bytes(2, "big")),
            ("drop fraction", self.drop_permille.to_bytes(2, "big")),
            ("server", self.server_key),
            ("certifier", self.certifier_key or _NO_KEY),
        )

    @property
    def digest(self) -> bytes:
        """SHA-256 over all fields."""
        return hashlib.sha256(b"".join(value for _, value in self.fields)).digest()

    @property
    def round_id(self) -> bytes:
        """SHA-256 of run and round: what a device unmasks once."""
        parts = b"".join(value for name, value in self.fields if name in ("run", "round"))
        return hashlib.sha256(parts).digest()

    def parameters(self, devices: int) -> GraphParameters:
        """The graph of a roster of this many devices, from the device's own table.

        Raises:
            PrivacyError: The cohort is too small for the noise, or the minimum for the corrupt.
        """
        if devices < self.min_survivors:
            raise PrivacyError(
                f"The cohort has {devices} devices, fewer than the {self.min_survivors} that "
                "the noise is set for."
            )
        found = split_resistant_parameters(
            devices,
            corrupt_permille=self.corrupt_permille,
            drop_permille=self.drop_permille,
            min_survivors=self.min_survivors,
        )
        if self.min_survivors < found.corrupt + 2:
            raise PrivacyError(
                f"A sum of {self.min_survivors} devices, of which {found.corrupt} may be "
                "corrupt, hides nobody: raise min_survivors."
            )
        return found


def _check_hash(name: str, value: str) -> None:
    try:
        raw = bytes.fromhex(value)
    except (ValueError, TypeError) as error:
        raise InputError(f"Expected {name} in hexadecimal.") from error
    if len(raw) != 32 or raw.hex() != value:
        raise InputError(f"Expected {name} as 64 hexadecimal digits in lower case.")
