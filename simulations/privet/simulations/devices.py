"""The devices of a simulation, for whatever runs the protocol of a federation over them."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from privet.client.session import Device
from privet.models.cohort import Cohort
from privet.models.federation import Federation
from privet.models.federation_policy import federation_policy
from privet.models.model import Model
from privet.models.plan import Plan
from privet.privacy.minimization.agreement import Agreement
from privet.privacy.minimization.egress_log import EgressLedger
from privet.privacy.randomness import Randomness
from privet.privacy.secagg.agreed import SIMULATED_CERTIFIER_SECRET, ProtocolTerms
from privet.privacy.secagg.primitives import SigningKey


@dataclass(frozen=True, kw_only=True, eq=False)
class SimulatedDevices:
    """Everyone's history, and what all devices of a simulation have in common.

    If the plan names the certifier of simulations, that one certifies all of them.

    Attributes:
        model: Whose client half runs.
        cohort: Row ``i`` is a device.
        plan: That every user agreed to.
        federation: That every device pinned.
        agreement: Of every user.
        secret: The devices' identity keys follow from it, 32 bytes.
        randomness: Makes the randomness of one answer.
    """

    model: Model
    cohort: Cohort = field(repr=False)
    plan: Plan
    federation: Federation
    agreement: Agreement
    secret: bytes = field(repr=False)
    randomness: Callable[[], Randomness]

    @classmethod
    def joined(
        cls,
        model: Model,
        cohort: Cohort,
        plan: Plan,
        *,
        server_key: bytes,
        randomness: Callable[[], Randomness],
    ) -> "SimulatedDevices":
        """Devices whose users all agreed to a plan, in a federation of their own.

        Raises:
            PrivacyError: No graph of secure aggregation fits the plan's groups.
        """
        agreed = plan.protocol or ProtocolTerms()
        certifier = agreed.certifier_key
        federation = Federation(
            run=f"simulation-{plan.hash[:16]}",
            server_key=server_key,
            certifier_key=None if certifier is None else bytes.fromhex(certifier),
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
            randomness=randomness,
        )

    def device(self, row: int) -> Device:
        """The device of a row, as it is before its first message."""
        digest = hashlib.blake2b(row.to_bytes(8, "big"), key=self.secret, digest_size=32)
        identity = SigningKey.from_secret(digest.digest())
        agreed = self.plan.protocol
        certified = agreed is not None and agreed.simulated_certifier
        certifier = SigningKey.from_secret(SIMULATED_CERTIFIER_SECRET) if certified else None
        return Device(
            model=self.model,
            history=self.cohort.slice(row, row + 1),
            identity=identity,
            federation=self.federation,
            agreement=self.agreement,
            ledger=EgressLedger(),
            certificate=b"" if certifier is None else certifier.certify(identity.public),
            randomness=self.randomness,
        )
