"""A fleet that runs the secure aggregation protocol for real, in one process, with dropouts.

Where :class:`~privet.simulations.fleet.InProcessFleet` simulates that masks cancel, here every
device masks its own vector, with its own noise share in it, and the server unmasks their sum.
Devices and server are those of a federation; what is missing is the network between them. For
federations of up to some thousand devices.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from privet.client.session import DeviceSession
from privet.models.cohort import Cohort
from privet.models.federation import SECURE_STAGES, Stage
from privet.models.groups import members
from privet.models.model import Model
from privet.models.plan import Plan
from privet.privacy.errors import InputError, PrivacyError
from privet.privacy.minimization.published import RoundMessages
from privet.privacy.randomness import Randomness
from privet.privacy.secagg.parameters import LARGEST_COHORT, SMALLEST_COHORT
from privet.privacy.secagg.primitives import SigningKey
from privet.privacy.secagg.terms import LARGEST_DIMENSION
from privet.server.courier import Deadlines
from privet.server.fleet import Aggregate, ChargeSum, Round
from privet.server.remote_fleet import RemoteFleet
from privet.simulations.devices import SimulatedDevices
from privet.simulations.memory_courier import MemoryCourier

LARGEST_VECTORS_BYTES = 4 << 30
Drops = Mapping[Stage, Collection[int]]
Dropping = Callable[[int, Sequence[int]], Drops]
"""Who drops out of a group, by stage: from the round's number and the rows of its devices."""

_AT_ONCE = Deadlines(gather=1e-3)  # whoever is there is there at the first look


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
        stages = rng.integers(len(SECURE_STAGES), size=len(gone))
        return {name: gone[stages == i].tolist() for i, name in enumerate(SECURE_STAGES)}

    return drops


class ProtocolFleet:
    """Simulated devices under the protocol, a roster for each group, without a network.

    Args:
        model: Whose client half runs.
        plan: That all devices agreed to. It says what is assumed and who certifies identities; if
            it names the certifier of simulations, that one certifies all devices here.
        cohort: Everyone's history.
        randomness: The devices' randomness, if it is seeded; else each draws its own.
        dropping: Who answers no more from a stage of the protocol on; nobody if not given. A round
            that is repeated has the number that it had.
        on_devices: Called with the number of devices done so far.

    Attributes:
        ledgers: Of each device: what it sent and which rounds it helped to unmask.

    Raises:
        PrivacyError: The plan says nothing of the protocol.
    """

    def __init__(
        self,
        model: Model,
        plan: Plan,
        cohort: Cohort,
        *,
        randomness: Randomness,
        dropping: Dropping = lambda round_number, rows: {},
        on_devices: Callable[[int], None] = lambda done: None,
    ) -> None:
        """Make the identities, which last for the run."""
        if plan.protocol is None:
            raise PrivacyError("The plan does not say how secure aggregation is run.")
        key = SigningKey.generate()
        joined = SimulatedDevices.joined(
            model,
            cohort,
            plan,
            server_key=key.public,
            randomness=(lambda: randomness) if randomness.seeded else Randomness.secret,
        )
        devices = [joined.device(row) for row in range(len(cohort))]
        self._cohort, self._seeded, self._dropping = cohort, randomness.seeded, dropping
        self.ledgers = [device.ledger for device in devices]
        self._courier = MemoryCourier([DeviceSession(d) for d in devices], on_devices)
        self._fleet = RemoteFleet(
            self._courier,
            federation=joined.federation,
            key=key,
            allowed={d.identity.public: int(d.history.devices[0]) for d in devices},
            deadlines=_AT_ONCE,
        )

    @property
    def rounds(self) -> Sequence[RoundMessages]:
        """The masked vectors that came to the server, a round each, with root and receipts."""
        return self._courier.rounds

    def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
        """Run a round; see `privet.server.protocol_round.secure_round`.

        Raises:
            PrivacyError: It is to repeat a release, and the devices' randomness is not seeded; or
                too few devices are left.
        """
        check_size(round_.plan)
        if round_.repeats and not self._seeded:
            raise PrivacyError("Devices with fresh noise never give the very same release again.")

        def charge_published(survivors: Sequence[int]) -> None:
            self._courier.rounds[-1].publish()
            charge(survivors)

        self._courier.begin(self._gone(round_))
        return self._fleet.run(replace(round_, repeats=False), charge_published)

    def _gone(self, round_: Round) -> dict[Stage, set[int]]:
        """The rows that drop out at each stage, of all groups."""
        plan, step = round_.plan, round_.step
        number = round_.attempt * len(plan.steps) + plan.steps.index(step)
        here = self._cohort.rows_of(round_.devices)
        groups = members(plan, step.name, round_.attempt, self._cohort.devices[here])
        found: dict[Stage, set[int]] = {stage: set() for stage in SECURE_STAGES}
        for rows in groups:
            of_group = here[rows].tolist()
            for stage, gone in self._dropping(number, of_group).items():
                found[stage].update(set(gone).intersection(of_group))
        return found
