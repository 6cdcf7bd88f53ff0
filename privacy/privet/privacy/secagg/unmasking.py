"""Taking masks off a sum, from the shares that devices revealed."""

import numpy as np
from numpy.typing import NDArray

from privet.privacy.errors import IntegrityError
from privet.privacy.secagg import primitives, shamir
from privet.privacy.secagg.roster import Roster, seed_commitment
from privet.privacy.secagg.server_messages import Survivors


class Unmasking:
    """The shares of one round, and what they open."""

    def __init__(
        self, roster: Roster, chosen: dict[int, tuple[int, ...]], survivors: Survivors
    ) -> None:
        """Start without shares.

        Args:
            roster: The roster.
            chosen: The neighbours that each device chose, in the order of its shares.
            survivors: Who is in the sum.
        """
        self._roster = roster
        self._chosen = chosen
        self._survivors = survivors
        self._shares: dict[int, dict[int, int]] = {}

    def add(self, owner: int, holder: int, share: int) -> None:
        """Take a share of the owner's secret that the holder revealed."""
        x = self._chosen[owner].index(holder) + 1
        self._shares.setdefault(owner, {})[x] = share

    def remove_self_mask(self, total: NDArray[np.uint32], owner: int, commitment: bytes) -> None:
        """Subtract a survivor's own mask, in place.

        Raises:
            IntegrityError: Too few shares, or not those of the seed that was committed to.
        """
        seed = self._combine(owner)
        if seed_commitment(seed, self._roster, owner) != commitment:
            raise IntegrityError("Shares of a seed are wrong: the sum cannot be unmasked.")
        terms = self._roster.terms
        identity = self._roster.adverts[owner].identity
        key = primitives.self_key(seed, self._roster.hash, terms.round_number, identity)
        primitives.apply_mask(total, key, subtract=True)

    def remove_pairwise_masks(self, total: NDArray[np.uint32], owner: int) -> None:
        """Take off the masks that survivors share with a device that dropped out, in place.

        Raises:
            IntegrityError: Too few shares, or not those of the device's key.
        """
        secret = self._combine(owner)
        adverts, terms = self._roster.adverts, self._roster.terms
        if primitives.public_key(secret) != adverts[owner].mask_key:
            raise IntegrityError("Shares of a key are wrong: the sum cannot be unmasked.")
        for other in sorted(self._survivors.active):
            if other not in self._chosen[owner] and owner not in self._chosen[other]:
                continue
            key = primitives.pairwise_key(
                secret,
                adverts[other].mask_key,
                self._roster.hash,
                terms.round_number,
                (adverts[owner].identity, adverts[other].identity),
            )
            # The survivor added if its position is the lower one.
            primitives.apply_mask(total, key, subtract=other < owner)

    def _combine(self, owner: int) -> bytes:
        threshold = self._roster.parameters.threshold
        return shamir.combine(self._shares.get(owner, {}), threshold=threshold)
