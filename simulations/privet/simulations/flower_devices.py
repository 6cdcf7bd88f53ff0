"""The devices of a simulation that Flower runs: from a partition's number to a device."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from privet.client.carried import CarriedSession
from privet.client.session import Device
from privet.models.cohort import Cohort
from privet.models.federation import Federation
from privet.models.federation_policy import federation_policy
from privet.models.model import Model
from privet.models.plan import Plan
from privet.privacy.errors import InputError
from privet.privacy.minimization.agreement import Agreement
from privet.privacy.randomness import Randomness
from privet.privacy.secagg.agreed import SIMULATED_CERTIFIER_SECRET, ProtocolTerms
from privet.privacy.secagg.primitives import SigningKey

if TYPE_CHECKING:
    from ray import ObjectRef

PARTITION = "partition-id"
"""What Flower's simulation calls a node's place, from 0, in the node's configuration."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SimulatedDevices:
    """Everyone's history, and what all devices of a simulation have in common.

    Attributes:
        model: Whose client half runs.
        cohort: Row ``i`` is the device of partition ``i``.
        plan: That every user agreed to.
        federation: That every device pinned.
        agreement: Of every user.
        secret: The devices' identity keys follow from it, 32 bytes.
        seed: Of seeded noise, which the plan must have; None for fresh secret randomness.
    """

    model: Model
    cohort: Cohort = field(repr=False)
    plan: Plan
    federation: Federation
    agreement: Agreement
    secret: bytes = field(repr=False)
    seed: int | None

    @classmethod
    def joined(
        cls, model: Model, cohort: Cohort, plan: Plan, *, server_key: bytes, seed: int | None
    ) -> "SimulatedDevices":
        """Devices whose users all agreed to a plan, in a federation of their own.

        Raises:
            PrivacyError: No graph of secure aggregation fits the plan's groups.
        """
        agreed = plan.protocol or ProtocolTerms()
        federation = Federation(
            run=f"simulation-{secrets.token_hex(8)}",
            server_key=server_key,
            certifier_key=bytes.fromhex(agreed.certifier_key) if agreed.certifier_key else None,
            corrupt_permille=agreed.corrupt_permille,
            drop_permille=agreed.drop_permille,
        )
        return cls(
            model=model,
            cohort=cohort,
            plan=plan,
            federation=federation,
            agreement=Agreement.to(federation_policy(plan, federation)),
            secret=secrets.token_bytes(32),
            seed=seed if plan.seeded_noise else None,
        )

    def open(self, config: Mapping[str, object]) -> CarriedSession:
        """The device of a node.

        Raises:
            InputError: There is none.
        """
        row = config.get(PARTITION)
        if not isinstance(row, int) or not 0 <= row < len(self.cohort):
            raise InputError(f"Expected {PARTITION} from 0 to {len(self.cohort) - 1}.")
        digest = hashlib.blake2b(row.to_bytes(8, "big"), key=self.secret, digest_size=32)
        identity = SigningKey.from_secret(digest.digest())
        agreed = self.plan.protocol
        certified = agreed is not None and agreed.simulated_certifier
        certifier = SigningKey.from_secret(SIMULATED_CERTIFIER_SECRET) if certified else None
        return CarriedSession(
            Device(
                model=self.model,
                history=self.cohort.slice(row, row + 1),
                identity=identity,
                federation=self.federation,
                agreement=self.agreement,
                certificate=b"" if certifier is None else certifier.certify(identity.public),
                randomness=(
                    Randomness.secret
                    if self.seed is None
                    else partial(Randomness.insecure_seeded, self.seed)
                ),
            )
        )


class HandedDevices:
    """Opens devices in whatever process it is called, for `privet.client.flower_app.client_app`.

    Flower sends its ClientApp to an actor with every message. On that way this object leaves the
    devices in Ray's object store, once, from where every machine takes them once and every actor of
    a machine reads the same memory. So nothing lies in a file, and no folder has to be shared.
    """

    def __init__(self) -> None:
        """Have nobody yet."""
        self._lock = Lock()
        self._devices: SimulatedDevices | None = None
        self._stored: ObjectRef[SimulatedDevices] | None = None

    def hold(self, devices: SimulatedDevices | None) -> None:
        """Take other devices from now on; None to have nobody."""
        with self._lock:
            self._devices, self._stored = devices, None

    def __call__(self, config: Mapping[str, object]) -> CarriedSession:
        """The device of a node, in the process that holds them."""
        if self._devices is None:
            raise InputError("There are no devices yet.")
        return self._devices.open(config)

    def __reduce__(self) -> tuple[object, ...]:
        """What an actor gets instead: where the devices are."""
        import ray

        with self._lock:
            if self._devices is not None and self._stored is None:
                self._stored = ray.put(self._devices)
            return partial, (_open_stored, self._stored)


def _open_stored(
    stored: "ObjectRef[SimulatedDevices]", config: Mapping[str, object]
) -> CarriedSession:
    import ray

    return ray.get(stored).open(config)
