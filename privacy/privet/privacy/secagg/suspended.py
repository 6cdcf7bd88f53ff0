"""A device's part of a round as bytes, for devices whose every message is a process of its own.

It holds the round's secrets. It is written and read by the same device, and is no message.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from privet.privacy.canonical import canonical_bytes, parse_canonical
from privet.privacy.errors import InputError, IntegrityError

_STAGES = frozenset(
    ("START", "ROSTER", "DELIVERY", "SURVIVORS", "UNMASK_REQUEST", "DONE", "ABORTED")
)


@dataclass(frozen=True, kw_only=True)
class Suspended:
    """What a client holds between two messages.

    Attributes:
        stage: What it waits for.
        terms: Digest of the terms.
        advert: Its advert, encoded.
        secrets: Mask key, envelope key, nonce and seed; empty once they are dropped.
        roster: The roster's message, empty before it.
        survivors: The survivors' message, empty before it.
        sharers: Devices that have shared.
        choosers: Devices that chose this one.
        held: Shares of seed and key, by their owner.
    """

    stage: str
    terms: bytes
    advert: bytes
    secrets: tuple[bytes, bytes, bytes, bytes] = field(repr=False)
    roster: bytes
    survivors: bytes
    sharers: frozenset[int]
    choosers: frozenset[int]
    held: Mapping[int, tuple[int, int]] = field(repr=False)

    def encode(self) -> bytes:
        """Canonical JSON."""
        return canonical_bytes(
            {
                "stage": self.stage,
                "terms": self.terms.hex(),
                "advert": self.advert.hex(),
                "secrets": [secret.hex() for secret in self.secrets],
                "roster": self.roster.hex(),
                "survivors": self.survivors.hex(),
                "sharers": sorted(self.sharers),
                "choosers": sorted(self.choosers),
                "held": [[owner, f"{a:x}", f"{b:x}"] for owner, (a, b) in self.held.items()],
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> "Suspended":
        """Read it back.

        Raises:
            InputError: Not such bytes. Names nothing of them.
        """
        try:
            return cls._from(parse_canonical(data))
        except (TypeError, ValueError, KeyError, InputError, IntegrityError):
            pass  # whose text could quote a secret
        raise InputError("Expected a suspended round, found other bytes.")

    @classmethod
    def _from(cls, body: Any) -> "Suspended":
        if body["stage"] not in _STAGES:
            raise ValueError
        mask_key, envelope_key, nonce, seed = (bytes.fromhex(x) for x in body["secrets"])
        return cls(
            stage=body["stage"],
            terms=bytes.fromhex(body["terms"]),
            advert=bytes.fromhex(body["advert"]),
            secrets=(mask_key, envelope_key, nonce, seed),
            roster=bytes.fromhex(body["roster"]),
            survivors=bytes.fromhex(body["survivors"]),
            sharers=frozenset(int(i) for i in body["sharers"]),
            choosers=frozenset(int(i) for i in body["choosers"]),
            held={int(owner): (int(a, 16), int(b, 16)) for owner, a, b in body["held"]},
        )
