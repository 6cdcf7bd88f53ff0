"""A fleet that runs the secure aggregation protocol for real, in one process, with dropouts.

Where :class:`~privet.simulations.fleet.InProcessFleet` simulates that masks cancel, here every
device masks its own vector, with its own noise share in it, and the server unmasks their sum.
For federations of up to some thousand devices.
"""

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from privet.client.device import DeviceTask, take_part
from privet.models.cohort import Cohort
from privet.models.groups import members
from privet.models.model import LocalState, Model, state_hash
from privet.privacy.encoding import wrap
from privet.privacy.errors import PrivacyError
from privet.privacy.minimization.egress_log import EgressLedger
from privet.privacy.minimization.gate import Gate
from privet.privacy.minimization.published import RoundMessages
from privet.privacy.minimization.sending import Slot
from privet.privacy.randomness import Randomness
from privet.privacy.secagg import testing
from privet.privacy.secagg.primitives import SigningKey
from privet.privacy.secagg.server import PendingRelease
from privet.privacy.secagg.terms import Terms
from privet.server.fleet import Aggregate, ChargeSum, GroupSum, Round

_MASKED = "masked"


class ProtocolFleet:
    """Simulated devices under the protocol, a roster for each group, without a network.

    Args:
        model: Whose client half runs.
        cohort: Everyone's history.
        randomness: The devices' randomness.
        gate: The only way out of a device.
        drops: Rows of devices that answer no more from a stage of the protocol on, by the stage's
            name (:data:`privet.privacy.secagg.testing.STAGES`); the same in every round.
        corrupt_permille: Devices assumed corrupt, in thousandths.
        drop_permille: Devices assumed to drop out at worst, likewise.

    Attributes:
        ledgers: Of each device: what it sent in the protocol and which rounds it unmasked.
        rounds: The masked vectors that the server accepted, a round each, with root and receipts.

    Identities are not certified by anyone but the server, so nothing is guaranteed against a
    malicious one (A4).
    """

    def __init__(
        self,
        model: Model,
        cohort: Cohort,
        *,
        randomness: Randomness,
        gate: Gate,
        drops: Mapping[str, Collection[int]] | None = None,
        corrupt_permille: int = 50,
        drop_permille: int = 100,
    ) -> None:
        """Make the identities, which last for the run."""
        self._model, self._cohort = model, cohort
        self._randomness, self._gate = randomness, gate
        self._drops = drops or {}
        self._fractions = (corrupt_permille, drop_permille)
        self._server_key = SigningKey.generate()
        self._identities = [SigningKey.generate() for _ in range(len(cohort))]
        self._local: dict[int, LocalState] = {}
        self.ledgers = [EgressLedger() for _ in range(len(cohort))]
        self.rounds: list[RoundMessages] = []

    def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
        """Run a round; a step that is repeated is a new round of the protocol.

        Every group gets as far as it can without revealing anything. Then all are charged at once,
        and only then is any of them unmasked; one group that fails ends the round for all.
        """
        terms = self._terms(round_)
        self.rounds.append(RoundMessages(_slot(terms, _MASKED)))
        groups = [
            self._collected(round_, terms, rows)
            for rows in members(round_.plan, round_.step.name, round_.attempt, self._cohort.devices)
        ]
        self.rounds[-1].publish()
        pending = [cohort.server.pending_release() for cohort, _ in groups]
        charge([len(group.survivors) for group in pending])
        return Aggregate(
            groups=tuple(
                self._revealed(cohort, drops, charged)
                for (cohort, drops), charged in zip(groups, pending, strict=True)
            )
        )

    def _collected(
        self, round_: Round, terms: Terms, rows: NDArray[np.int64]
    ) -> tuple[testing.Cohort, dict[str, list[int]]]:
        """One group, all of whose masked vectors and signatures are in, and who drops out of it."""
        # A device counts its participation, in here, before it says anything in the protocol.
        vectors = np.stack([self._vector(round_, row) for row in rows.tolist()])
        cohort = testing.Cohort(
            terms,
            self._server_key,
            [self._identities[row] for row in rows.tolist()],
            records=[self.ledgers[row] for row in rows.tolist()],
            on_message=lambda stage, place, message: self._before_it_leaves(
                _slot(terms, stage), int(rows[place]), message
            ),
        )
        places = {row: place for place, row in enumerate(rows.tolist())}
        drops = {
            stage: [places[row] for row in gone if row in places]
            for stage, gone in self._drops.items()
        }
        cohort.collect(vectors, drops)
        return cohort, drops

    def _before_it_leaves(self, slot: Slot, row: int, message: bytes) -> None:
        self.ledgers[row].record_sent(slot, message)
        if slot.stage == _MASKED:
            self.rounds[slot.round_number].add(message)

    def _revealed(
        self, cohort: testing.Cohort, drops: dict[str, list[int]], charged: PendingRelease
    ) -> GroupSum:
        def already_charged(pending: PendingRelease) -> None:
            if pending != charged:
                raise PrivacyError("The protocol would unmask another sum than the one charged.")

        found = cohort.reveal(already_charged, drops)
        return GroupSum(total=found.total, survivors=len(found.survivors))

    def _vector(self, round_: Round, row: int) -> NDArray[np.uint32]:
        """What one device would mask: its admitted upload, modulo 2**32."""
        admitted, self._local[row] = take_part(
            self._model,
            DeviceTask(
                plan=round_.plan, step=round_.step, shared=round_.shared, attempt=round_.attempt
            ),
            self._local.get(row, {}),
            self._cohort.slice(row, row + 1),
            randomness=self._randomness,
            gate=self._gate,
            add_noise_share=True,
        )
        total = np.zeros(round_.step.encoding.dimension, np.int64)
        admitted.add_into(total)
        return wrap(total)

    def _terms(self, round_: Round) -> Terms:
        corrupt, drop = self._fractions
        return Terms(
            run=f"simulation {round_.plan.hash[:16]}",
            plan_hash=round_.plan.hash,
            model_hash=state_hash(round_.shared),
            round_number=len(self.rounds),
            dimension=round_.step.encoding.dimension,
            min_survivors=round_.plan.facts.min_survivors,
            corrupt_permille=corrupt,
            drop_permille=drop,
            server_key=self._server_key.public,
        )


def _slot(terms: Terms, stage: str) -> Slot:
    return Slot(run=terms.run, round_number=terms.round_number, stage=stage)
