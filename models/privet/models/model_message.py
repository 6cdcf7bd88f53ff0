"""A published model on its way to a device, and the device's word that it keeps it.

The request is signed by the server's key, as every request that begins something
(:mod:`privet.models.requests`). It names the decision of the server's registry that gave the device
this version, by its position in the registry's record: a device that has a later decision ignores
an earlier one, so an old message that is sent again changes nothing.
"""

from dataclasses import dataclass, field

from privet.models.model import SharedState, state_hash
from privet.models.plan import Plan
from privet.models.requests import pack, unpack
from privet.privacy.canonical import Json
from privet.privacy.errors import InputError, IntegrityError
from privet.privacy.secagg.primitives import KEY_BYTES, SIGNATURE_BYTES, SigningKey, verify

_FIELDS = frozenset(
    {"plan", "version", "decision", "rolled_back", "state_hash", "catalogue_hash", "model"}
)


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelMessage:
    """A version of the shared model for a device.

    Attributes:
        plan: Under which it was made.
        version: Counts from 1.
        decision: Position, in the registry's record, of the last rollout or rollback.
        rolled_back: Position of the last rollback, 0 for none.
        state_hash: Of the arrays.
        shared: The arrays.
    """

    plan: Plan
    version: int
    decision: int
    rolled_back: int
    state_hash: str
    shared: SharedState = field(repr=False)

    def encode(self) -> bytes:
        """Header and arrays; the arrays must have the hash that it says."""
        fields: dict[str, Json] = {
            "plan": self.plan.to_dict(),
            "version": self.version,
            "decision": self.decision,
            "rolled_back": self.rolled_back,
            "state_hash": self.state_hash,
            "catalogue_hash": self.plan.catalogue_hash,
            "model": self.plan.model,
        }
        return pack(fields, self.shared)

    @classmethod
    def parse(cls, data: bytes) -> "ModelMessage":
        """Read a message.

        Raises:
            InputError: Not a model, or its arrays are of other sizes or types than it says.
            IntegrityError: Its header is not canonical, its arrays have another hash, or it names
                another catalogue or model than its plan.
            PrivacyError: Its plan cannot be one.
        """
        header, shared = unpack(data)
        if set(header) != _FIELDS:
            raise _refused()
        counts = [header[name] for name in ("version", "decision", "rolled_back")]
        if not all(type(n) is int and 0 <= n < 1 << 53 for n in counts):
            raise _refused()
        plan = Plan.from_dict(header["plan"])
        found = cls(
            plan=plan,
            version=counts[0],  # type: ignore[arg-type]
            decision=counts[1],  # type: ignore[arg-type]
            rolled_back=counts[2],  # type: ignore[arg-type]
            state_hash=state_hash(shared),
            shared=shared,
        )
        named = (header["state_hash"], header["catalogue_hash"], header["model"])
        if named != (found.state_hash, plan.catalogue_hash, plan.model):
            raise IntegrityError("A model is not the one that its message names.")
        if found.version < 1 or not found.rolled_back <= found.decision:
            raise _refused()
        return found

    def receipt(self, key: SigningKey, run: str) -> bytes:
        """The device's answer: its identity, and a signature over what it keeps now."""
        return key.public + key.sign(b"model", *self._signed(run))

    def check_receipt(self, data: bytes, run: str) -> bytes:
        """The identity of the device that answered.

        Raises:
            InputError: Of another length.
            IntegrityError: It is no answer of that device's to this message.
        """
        if len(data) != KEY_BYTES + SIGNATURE_BYTES:
            raise InputError("Expected a receipt for a model, found other bytes.")
        verify(data[:KEY_BYTES], data[KEY_BYTES:], b"model", *self._signed(run))
        return data[:KEY_BYTES]

    def _signed(self, run: str) -> tuple[bytes, ...]:
        counts = (self.version, self.decision)
        return (
            run.encode(),
            bytes.fromhex(self.plan.hash),
            *(count.to_bytes(8, "little") for count in counts),
            bytes.fromhex(self.state_hash),
        )


def _refused() -> InputError:
    return InputError("Expected a published model, found other bytes.")
