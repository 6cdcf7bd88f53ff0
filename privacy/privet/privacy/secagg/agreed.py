"""What a plan says of secure aggregation: assumptions, who certifies, and how often a device answers.

It is in the plan's hash, so whoever agrees to the plan agrees to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from privet.privacy.accounting.adversaries import ReleaseTerms
from privet.privacy.accounting.events import Event, RepeatedEvent
from privet.privacy.errors import InputError
from privet.privacy.secagg.parameters import SECURITY_BITS

SIMULATED_CERTIFIER_SECRET = b"privet: nobody is certified here"
SIMULATED_CERTIFIER_KEY = "ddf2fc9f07d0d2bbe56df69d95b5afc34dcef811b34c17c968d5150cfc06ac14"
"""A certifier's key whose secret everyone knows: for simulations, and named so in every report."""


@dataclass(frozen=True, kw_only=True)
class ProtocolTerms:
    """What is agreed beside noise and minimum.

    Attributes:
        corrupt_permille: Devices assumed corrupt, in thousandths of a roster.
        drop_permille: Devices assumed to drop out at worst, likewise.
        certifier_key: Ed25519 key, in hexadecimal, of someone other than the server who certifies
            identities; None if nobody does.
        max_participations: How often a device answers to one step of the plan, whatever its user's
            agreement would allow beyond.

    Raises:
        InputError: A value out of its range.
    """

    corrupt_permille: int = 50
    drop_permille: int = 100
    certifier_key: str | None = None
    max_participations: int = 1

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, low, high in (
            ("corrupt_permille", 0, 499),
            ("drop_permille", 0, 499),
            ("max_participations", 1, 1000),
        ):
            if not low <= getattr(self, name) <= high:
                raise InputError(
                    f"Expected {name} from {low} to {high}, found {getattr(self, name)}."
                )
        key = self.certifier_key
        if key is not None and (len(key) != 64 or not set(key) <= set("0123456789abcdef")):
            raise InputError("Expected certifier_key as 64 hexadecimal digits in lower case.")

    @property
    def simulated_certifier(self) -> bool:
        """Whether the certifier is the one of simulations, whose secret everyone knows."""
        return self.certifier_key == SIMULATED_CERTIFIER_KEY

    def corrupt(self, min_survivors: int) -> int:
        """Most corrupt devices that the certifier may have certified in all.

        The server chooses whom it puts into a roster, so a fraction of all certified devices would
        bound nothing: it could fill a roster with the corrupt ones. This many are within the
        assumed fraction of every roster that devices accept, the smallest one included.
        """
        return min_survivors * self.corrupt_permille // 1000

    def log2_failure(self) -> float:
        """Bound, for one round that a device starts, on the probability that its graph is a bad one.

        Devices refuse rosters for which a device with too many corrupt neighbours, or a cut of the
        survivors, has a probability of ``2**-SECURITY_BITS`` or more.
        """
        return 1.0 - SECURITY_BITS

    def against_malicious_server(
        self, planned: Sequence[ReleaseTerms], charged: Mapping[int, int]
    ) -> tuple[Event, ...] | None:
        """What a malicious server could make one device take part in; None if nothing bounds it.

        Args:
            planned: Terms of each step of the plan, with the fewest survivors.
            charged: How often each step was charged, by its position: for runs that asked devices
                more often than they should have answered.

        Formal Guarantees:
            Assumes that the certifier is not the server's; that at most ``corrupt(min_survivors)``
            certified devices are corrupt in all; that honest devices count a participation before
            its vector leaves and follow the protocol; that its primitives are as strong as they are
            thought to be; and that no graph of a round that they start fails, see `log2_failure`.
            Then whatever the server sends, and whichever devices it lets drop out, it learns of an
            honest device's vectors at most, for every participation that the cap allows, one sum of
            at least ``min_survivors`` devices of which all but the corrupt added their noise
            shares: a sum over other survivors, or a second one, needs co-signatures of devices
            that sign once. Shared states may be whatever the server likes: the bound of a vector
            holds for all of them.
        """
        if self.certifier_key is None:
            return None
        return tuple(
            RepeatedEvent(
                event=terms.seen_with(max(self.corrupt(terms.survivors), terms.colluders)),
                times=max(self.max_participations, charged.get(position, 0)),
            )
            for position, terms in enumerate(planned)
        )
