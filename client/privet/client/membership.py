"""A device's directory: its keys, what its user agreed to, and all that it must remember.

Made once by :func:`join`, with an invitation; opened by whoever runs the device. What is in it::

    invitation.json    what the device pinned
    agreement.json     what its user agreed to, by hash
    identity.key       the device's identity, 32 secret bytes
    node.key           its key at the transport, PEM
    request.json       for the operator to enrol; public
    authority.pem      the only certificate authority that is trusted
    store.db           its ledger: what it promised and what left (`DeviceStore`)
    local/             local state of models
    model              the published model that it keeps
"""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from privet.client.departures import Departures
from privet.client.device_store import DeviceStore
from privet.client.embedded.fleet_server import FleetServer
from privet.client.embedded.identity import NodeIdentity
from privet.client.local_states import LocalStateFolder
from privet.client.model_store import ModelStore
from privet.client.session import Device
from privet.client.store_file import wipe
from privet.models.cohort import Cohort
from privet.models.invitation import EnrolmentRequest, Invitation
from privet.models.model import Model
from privet.privacy.canonical import canonical_bytes, parse_canonical
from privet.privacy.errors import EgressError, InputError, IntegrityError
from privet.privacy.minimization.agreement import Agreement, Limits
from privet.privacy.secagg.primitives import SigningKey

INVITATION, AGREEMENT, REQUEST, STORE = (
    "invitation.json",
    "agreement.json",
    "request.json",
    "store.db",
)
_IDENTITY, _NODE, _AUTHORITY, _LOCAL, _MODEL = (
    "identity.key",
    "node.key",
    "authority.pem",
    "local",
    "model",
)


def join(
    invitation: Invitation, directory: Path, *, departures: Departures | None = None
) -> EnrolmentRequest:
    """Make a device's directory, once its user has agreed to the invitation's plan and policy.

    It is there whole or not at all, and only its owner may use it.

    Args:
        invitation: What to join.
        directory: Of the device.
        departures: Which plans this device has left for good, if its host keeps that.

    Returns:
        What the operator enrols; it is in the directory too.

    Raises:
        InputError: Something is there already.
        PrivacyError: The device took part in this plan, and left.
    """
    if departures is not None:
        departures.check(invitation.plan.hash)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError(
            f"{directory} is not empty; nothing is overwritten. Give another directory."
        )
    target = directory.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    secret = os.urandom(32)
    node = NodeIdentity.generate()
    request = EnrolmentRequest.sign(
        SigningKey.from_secret(secret),
        int.from_bytes(os.urandom(8), "big") >> 1,
        node.public_pem(),
        federation=invitation.federation,
        plan_hash=invitation.plan.hash,
    )
    agreed = {
        "plan_hash": invitation.plan.hash,
        "policy_hash": invitation.policy.hash,
        "answers": invitation.answers,
        "invitation": _digest(invitation),
    }
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".privet-") as scratch:
        new = Path(scratch) / "new"
        new.mkdir(mode=0o700)
        (new / _LOCAL).mkdir(mode=0o700)
        files = {
            INVITATION: invitation.to_bytes(),
            AGREEMENT: canonical_bytes(agreed),
            _IDENTITY: secret,
            _NODE: node.private_pem(),
            REQUEST: request.to_bytes(),
            _AUTHORITY: invitation.authority.encode(),
        }
        for name, data in files.items():
            _write(new / name, data)
        DeviceStore(new / STORE, create=True).close()
        try:
            new.rename(target)
        except OSError as error:
            raise InputError(f"{directory} was made by somebody else meanwhile.") from error
    return request


@dataclass(frozen=True, kw_only=True, eq=False)
class Membership:
    """A device's directory, open; close it when the device stops.

    Attributes:
        directory: Of the device.
        invitation: What it pinned.
        agreement: What its user agreed to.
        request: Its public keys and number.
        store: Its ledger.
    """

    directory: Path
    invitation: Invitation
    agreement: Agreement
    request: EnrolmentRequest
    store: DeviceStore

    @classmethod
    def open(cls, directory: Path) -> "Membership":
        """Open a device's directory.

        Raises:
            InputError: None there, or others than its owner may use it.
            IntegrityError: Something in it is damaged.
            EgressError: What its user agreed to is not what the invitation is about.
        """
        if not (directory / INVITATION).is_file():
            raise InputError(f"No device in {directory}: `privet client join` makes one.")
        if os.name == "posix" and directory.stat().st_mode & 0o077:
            raise InputError(
                f"Others than its owner may use {directory}. Run: chmod 700 {directory}"
            )
        invitation = Invitation.from_bytes((directory / INVITATION).read_bytes())
        agreement = _agreement((directory / AGREEMENT).read_bytes(), invitation)
        agreement.check(plan_hash=invitation.plan.hash, policy_hash=invitation.policy.hash)
        return cls(
            directory=directory,
            invitation=invitation,
            agreement=agreement,
            request=EnrolmentRequest.from_bytes((directory / REQUEST).read_bytes()),
            store=DeviceStore(directory / STORE),
        )

    def device(self, model: Model, history: Cohort) -> Device:
        """The device, with a history.

        Args:
            model: Of the plan.
            history: A cohort of one; its public number is the device's own.

        Raises:
            IntegrityError: The identity is damaged or another one than was enrolled.
        """
        identity = SigningKey.from_secret(_secret(self.directory / _IDENTITY))
        if identity.public != self.request.identity:
            raise IntegrityError("The device's identity is not the one of its enrolment request.")
        if history.devices.tolist() != [self.request.number]:
            raise InputError("A device's history carries its own public number.")
        return Device(
            model=model,
            history=history,
            identity=identity,
            federation=self.invitation.federation,
            agreement=self.agreement,
            local=self.local,
            ledger=self.store.ledger,
            models=self.models,
        )

    @property
    def local(self) -> LocalStateFolder:
        """Keeps local states of models."""
        return LocalStateFolder(self.directory / _LOCAL)

    @property
    def models(self) -> ModelStore:
        """Keeps the published model."""
        return ModelStore(self.directory / _MODEL)

    @property
    def node(self) -> NodeIdentity:
        """The device's key at the transport."""
        return NodeIdentity.from_pem((self.directory / _NODE).read_bytes())

    @property
    def server(self) -> FleetServer:
        """Where its server is."""
        return FleetServer(
            host=self.invitation.host,
            port=self.invitation.port,
            authority=self.directory / _AUTHORITY,
        )

    def close(self) -> None:
        """Close the store."""
        self.store.close()


def leave(membership: Membership, departures: Departures) -> None:
    """Leave a federation for good: the identity is destroyed, with all that the device kept for it.

    What was sent stays in sums that nobody can take it out of, and the operator's list keeps the
    public keys until the operator removes them. A crash on the way leaves a device that is whole, or
    one that cannot be opened any more; calling `destroy` with the directory ends it.

    Raises:
        InputError: Something could not be written or removed.

    Formal Guarantees:
        Before anything is removed, `departures` has every plan in which the device took part, on
        the disk, so that it cannot join one of them again and contribute beyond the times that its
        noise was calibrated for. Of a device that never took part nothing is kept.
    """
    departures.add({claim.plan_hash for claim in membership.store.ledger.claims})
    membership.store.ledger.forget_answer()
    membership.close()
    destroy(membership.directory)


def destroy(directory: Path) -> None:
    """Overwrite and remove a device's directory, the invitation first: no device opens without it.

    Raises:
        InputError: Something in it could not be removed.
    """
    identity = directory / _IDENTITY
    try:
        (directory / INVITATION).unlink(missing_ok=True)  # public, so it need not be overwritten
        found = sorted(directory.rglob("*"), key=lambda path: (path != identity, path))
        for path in found:
            if path.is_symlink():
                path.unlink()
            elif path.is_file():
                wipe(path)
        for path in reversed(found):
            if path.is_dir():
                path.rmdir()
        directory.rmdir()
    except OSError as error:
        raise InputError(
            f"{directory} cannot be removed: {error.strerror}. What is left of it is no device."
        ) from error


def _agreement(data: bytes, invitation: Invitation) -> Agreement:
    body = parse_canonical(data)
    kinds = {"plan_hash": str, "policy_hash": str, "answers": int, "invitation": str}
    if not isinstance(body, dict) or {name: type(body[name]) for name in sorted(body)} != kinds:
        raise IntegrityError("The device's agreement is damaged.")
    plan_hash, policy_hash, answers = body["plan_hash"], body["policy_hash"], body["answers"]
    assert isinstance(plan_hash, str) and isinstance(policy_hash, str) and isinstance(answers, int)
    if body["invitation"] != _digest(invitation):
        raise EgressError("The device's user did not agree to this invitation. Nothing was sent.")
    return Agreement(
        plan_hashes=frozenset({plan_hash}),
        policy_hashes=frozenset({policy_hash}),
        limits=Limits(max_participations=answers),
    )


def _digest(invitation: Invitation) -> str:
    """Of all of it: who the server is, and what is assumed about other devices, too."""
    return hashlib.sha256(invitation.to_bytes()).hexdigest()


def _secret(path: Path) -> bytes:
    found = path.read_bytes()
    if len(found) != 32:
        raise IntegrityError("The device's identity key is damaged.")
    return found


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
