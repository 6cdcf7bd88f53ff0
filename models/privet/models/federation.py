"""What a device pins when its user joins a federation, and the terms that follow from it.

Server and device each make the terms of a round by :meth:`Federation.terms`, from what they hold
themselves; the device takes nothing but the round's number from the server.
"""

from dataclasses import dataclass
from enum import StrEnum

from privet.models.plan import Plan, StepPlan
from privet.privacy.errors import PrivacyError
from privet.privacy.secagg.terms import Terms


class Stage(StrEnum):
    """What a server asks of a device, as the envelope's ``stage`` says it.

    ``HELLO``: show the identity key. ``CONTRIBUTE``: the vector itself, under trust ``central``
    and ``local``. ``MODEL``: keep a published model. The other five are those of secure
    aggregation, in their order.
    """

    HELLO = "hello"
    CONTRIBUTE = "contribute"
    ADVERTISE = "advertise"
    SHARE = "share"
    MASK = "mask"
    COSIGN = "cosign"
    UNMASK = "unmask"
    MODEL = "model"


SECURE_STAGES = (Stage.ADVERTISE, Stage.SHARE, Stage.MASK, Stage.COSIGN, Stage.UNMASK)
"""Of a round of secure aggregation, in their order."""


@dataclass(frozen=True, kw_only=True)
class Federation:
    """The public constants of a federation, the same on the server and on every device.

    Attributes:
        run: Name of the run, 1 to 64 printable ASCII characters without spaces.
        server_key: Ed25519 key with which the server signs requests and rosters.
        certifier_key: Ed25519 key that certifies identities, of someone other than the server;
            None if nobody does, and then nothing is guaranteed against a malicious server (A4).
        corrupt_permille: Devices assumed corrupt, in thousandths of a round's devices.
        drop_permille: Devices assumed to drop out of a round at worst, likewise.
    """

    run: str
    server_key: bytes
    certifier_key: bytes | None = None
    corrupt_permille: int = 50
    drop_permille: int = 100

    def terms(self, plan: Plan, step: StepPlan, *, model_hash: str, round_number: int) -> Terms:
        """The terms of a round.

        Args:
            plan: Of the run.
            step: Of the plan.
            model_hash: Of the shared state, as whoever makes the terms holds it.
            round_number: New for every round.

        Raises:
            InputError: A constant is out of its range.
            PrivacyError: The plan says other things of the protocol than the federation.
        """
        agreed, key = plan.protocol, self.certifier_key
        stated = (self.corrupt_permille, self.drop_permille, None if key is None else key.hex())
        if agreed is not None and stated != (
            agreed.corrupt_permille,
            agreed.drop_permille,
            agreed.certifier_key,
        ):
            raise PrivacyError("The plan and the federation differ in who certifies or is trusted.")
        return Terms(
            run=self.run,
            plan_hash=plan.hash,
            model_hash=model_hash,
            round_number=round_number,
            dimension=step.encoding.dimension,
            min_survivors=max(step.terms.survivors, 2),
            corrupt_permille=self.corrupt_permille,
            drop_permille=self.drop_permille,
            server_key=self.server_key,
            certifier_key=self.certifier_key,
        )
