"""A fleet that runs the secure aggregation protocol for real, in one process, with dropouts.

Where :class:`~privet.simulations.fleet.InProcessFleet` simulates that masks cancel, here every
device masks its own vector, with its own noise share in it, and the server unmasks their sum.
For federations of up to some thousand devices.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from privet.client.device import DeviceTask, take_part
from privet.models.cohort import Cohort
from privet.models.groups import members
from privet.models.model import LocalState, Model
from privet.models.plan import Plan
from privet.models.protocol import round_terms
from privet.privacy.encoding import wrap
from privet.privacy.errors import InputError, PrivacyError
from privet.privacy.minimization.egress_log import EgressLedger
from privet.privacy.minimization.gate import Gate
from privet.privacy.minimization.published import RoundMessages
from privet.privacy.minimization.sending import Slot
from privet.privacy.randomness import Randomness
from privet.privacy.secagg import testing
from privet.privacy.secagg.agreed import SIMULATED_CERTIFIER_SECRET
from privet.privacy.secagg.parameters import LARGEST_COHORT, SMALLEST_COHORT
from privet.privacy.secagg.primitives import SigningKey
from privet.privacy.secagg.record import STAGES, GroupRecord, ProtocolRecord
from privet.privacy.secagg.server import PendingRelease
from privet.privacy.secagg.terms import LARGEST_DIMENSION, Terms
from privet.server.fleet import Aggregate, ChargeSum, GroupSum, Round

_MASKED = "masked"
LARGEST_VECTORS_BYTES = 4 << 30
Drops = Mapping[str, Collection[int]]
Dropping = Callable[[int, Sequence[int]], Drops]
"""Who drops out of a group, by stage: from the round's number and the rows of its devices."""


def check_size(plan: Plan) -> None:
    """Refuse, before anything runs, a federation that the protocol cannot carry in one process.

    Raises:
        InputError: With the limit and what to do.
    """
    facts, largest = plan.facts, plan.facts.largest_group
    if facts.smallest_group < SMALLEST_COHORT or largest > LARGEST_COHORT:
        raise InputError(
            f"The protocol runs with {SMALLEST_COHORT} to {LARGEST_COHORT} devices in a group; "
            f"these groups have {facts.smallest_group} to {largest}. Choose another --groups, or "
            "simulate its effect."
        )
    dimension = max(step.encoding.dimension for step in plan.steps)
    if dimension > LARGEST_DIMENSION or 4 * dimension * largest > LARGEST_VECTORS_BYTES:
        raise InputError(
            f"The protocol would hold {largest} vectors of {dimension} numbers in memory, "
            f"{4 * dimension * largest / 1e9:.3g} GB; at most {LARGEST_VECTORS_BYTES / 1e9:.3g} GB "
            f"and {LARGEST_DIMENSION} numbers are allowed. Use more groups or a smaller epsilon, or "
            "simulate its effect."
        )


def random_drops(fraction: float, seed: int) -> Dropping:
    """Drops that fraction of each group, rounded down, each device at a stage of its own.

    Args:
        fraction: From 0 to below a half.
        seed: Public.

    Raises:
        InputError: Another fraction.
    """
    if not 0 <= fraction < 0.5:
        raise InputError(f"Expected a fraction of devices that drop out below 0.5: {fraction}.")

    def drops(round_number: int, rows: Sequence[int]) -> Drops:
        rng = np.random.default_rng([seed, round_number, *rows[:1]])
        gone = rng.permutation(np.asarray(rows))[: int(fraction * len(rows))]
        stages = rng.integers(len(STAGES), size=len(gone))
        return {name: gone[stages == i].tolist() for i, name in enumerate(STAGES)}

    return drops


class ProtocolFleet:
    """Simulated devices under the protocol, a roster for each group, without a network.

    Args:
        model: Whose client half runs.
        cohort: Everyone's history.
        randomness: The devices' randomness.
        gate: The only way out of a device.
        dropping: Who answers no more from a stage of the protocol on; nobody if not given.
        on_devices: Called with the number of devices done so far.

    Attributes:
        ledgers: Of each device: what it sent in the protocol and which rounds it unmasked.
        rounds: The masked vectors that the server accepted, a round each, with root and receipts.

    What is assumed, and who certifies identities, is the plan's. If the plan names the certifier of
    simulations, that one certifies all devices here.
    """

    def __init__(
        self,
        model: Model,
        cohort: Cohort,
        *,
        randomness: Randomness,
        gate: Gate,
        dropping: Dropping = lambda round_number, rows: {},
        on_devices: Callable[[int], None] = lambda done: None,
    ) -> None:
        """Make the identities, which last for the run."""
        self._model, self._cohort = model, cohort
        self._randomness, self._gate = randomness, gate
        self._dropping, self._on_devices = dropping, on_devices
        self._server_key = SigningKey.generate()
        self._identities = [SigningKey.generate() for _ in range(len(cohort))]
        self._local: dict[int, LocalState] = {}
        self.ledgers = [EgressLedger() for _ in range(len(cohort))]
        self.rounds: list[RoundMessages] = []
        self._steps_done = 0

    def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
        """Run a round; a step that is repeated is a new round of the protocol.

        Every group gets as far as it can without revealing anything. Then all are charged at once,
        and only then is any of them unmasked; one group that fails ends the round for all.
        """
        check_size(round_.plan)
        terms, self._steps_done = self._terms(round_), 0
        self.rounds.append(RoundMessages(_slot(terms, _MASKED)))
        here = self._cohort.rows_of(round_.devices)
        devices = self._cohort.devices[here]
        rows = members(round_.plan, round_.step.name, round_.attempt, devices)
        groups = [self._collected(round_, terms, here[group].tolist()) for group in rows]
        self.rounds[-1].publish()
        pending = [cohort.server.pending_release() for cohort, _ in groups]
        charge([len(group.survivors) for group in pending])
        found = [
            self._revealed(cohort, drops, charged)
            for (cohort, drops), charged in zip(groups, pending, strict=True)
        ]
        record = ProtocolRecord.of(
            terms, [record for _, record in found], transport="none: all in one process"
        )
        return Aggregate(groups=tuple(total for total, _ in found), protocol=record)

    def _collected(
        self, round_: Round, terms: Terms, rows: list[int]
    ) -> tuple[testing.Cohort, dict[str, list[int]]]:
        """One group, all of whose masked vectors and signatures are in, and who drops out of it."""
        # A device counts its participation, in here, before it says anything in the protocol.
        vectors = np.stack([self._vector(round_, row) for row in rows])
        agreed = round_.plan.protocol
        simulated = agreed is not None and agreed.simulated_certifier
        cohort = testing.Cohort(
            terms,
            self._server_key,
            [self._identities[row] for row in rows],
            certifier=SigningKey.from_secret(SIMULATED_CERTIFIER_SECRET) if simulated else None,
            records=[self.ledgers[row] for row in rows],
            on_message=lambda stage, place, message: self._before_it_leaves(
                _slot(terms, stage), rows[place], message
            ),
        )
        places = {row: place for place, row in enumerate(rows)}
        drops = {
            stage: [places[row] for row in gone if row in places]
            for stage, gone in self._dropping(terms.round_number, rows).items()
        }
        cohort.collect(vectors, drops)
        return cohort, drops

    def _before_it_leaves(self, slot: Slot, row: int, message: bytes) -> None:
        self.ledgers[row].record_sent(slot, message)
        self._step_done()
        if slot.stage == _MASKED:
            self.rounds[slot.round_number].add(message)

    def _revealed(
        self, cohort: testing.Cohort, drops: dict[str, list[int]], charged: PendingRelease
    ) -> tuple[GroupSum, GroupRecord]:
        def already_charged(pending: PendingRelease) -> None:
            if pending != charged:
                raise PrivacyError("The protocol would unmask another sum than the one charged.")

        found = cohort.reveal(already_charged, drops)
        record = GroupRecord.of(cohort.server, found, asked=len(cohort.clients))
        return GroupSum(total=found.total, survivors=len(found.survivors)), replace(
            record,
            up_bytes=max(cohort.meter.up.values()),
            down_bytes=max(cohort.meter.down.values()),
        )

    def _step_done(self) -> None:
        """A vector or an answer more: a device has one vector and five answers."""
        self._steps_done += 1
        if self._steps_done % (1 + len(STAGES)) == 0:
            self._on_devices(self._steps_done // (1 + len(STAGES)))

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
        self._step_done()
        return wrap(total)

    def _terms(self, round_: Round) -> Terms:
        return round_terms(
            round_.plan,
            round_.step,
            round_.shared,
            run=f"simulation {round_.plan.hash[:16]}",
            round_number=len(self.rounds),
            server_key=self._server_key.public,
        )


def _slot(terms: Terms, stage: str) -> Slot:
    return Slot(run=terms.run, round_number=terms.round_number, stage=stage)
