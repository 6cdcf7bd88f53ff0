"""A device in a federation: requests in, admitted messages or refusals out, over any transport.

A :class:`DeviceSession` is what a Flower ClientApp, an embedded transport and an in-memory test
have in common. It decides by what its user agreed to, never by what the server says; why it
refuses a request is not told.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from privet.client.device import DeviceTask, compute
from privet.client.local_states import LocalStates, MemoryLocalStates
from privet.client.model_store import ModelStore
from privet.client.release import Preview, Release, Unasked
from privet.models.cohort import Cohort
from privet.models.federation import Federation, Stage
from privet.models.federation_policy import federation_policy, protocol_message
from privet.models.identified import CHALLENGE_BYTES, Hello, PlainUpload
from privet.models.model import Model, state_hash
from privet.models.model_message import ModelMessage
from privet.models.plan import Plan, StepPlan
from privet.models.requests import TaskMessage, open_request
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.canonical import canonical_bytes
from privet.privacy.errors import InputError, PrivacyError
from privet.privacy.minimization.agreement import Agreement
from privet.privacy.minimization.egress_log import EgressLedger
from privet.privacy.minimization.envelope import Envelope
from privet.privacy.minimization.gate import AdmittedMessage, Gate, Upload
from privet.privacy.minimization.messages import Message, decode_message, encode_message, scrub
from privet.privacy.minimization.sending import Slot
from privet.privacy.randomness import Randomness
from privet.privacy.secagg.client import Client
from privet.privacy.secagg.primitives import SigningKey
from privet.privacy.secagg.terms import Terms

_LOG = logging.getLogger("privet.client")


@dataclass(frozen=True, kw_only=True, eq=False)
class Device:
    """One device: what it holds and what it remembers.

    Attributes:
        model: Whose client half runs.
        history: A cohort of one. Never leaves; but the number that it gives the device is public.
        identity: The device's long-lived key.
        federation: What it pinned when its user joined.
        agreement: What its user agreed to: plans and their `federation_policy`.
        ledger: What it must not forget: how often it took part, what it sent, which rounds it
            helped to unmask. On a real device that of a `DeviceStore`; in memory if not given.
        local: Its local state.
        certificate: The certifier's signature over the identity, if the federation has one.
        models: Keeps the published model; a device without one takes none.
        release: What the user and the host app have to say about each answer; if not given, nothing
            beyond the agreement.
        randomness: Makes the randomness of one answer. Anything but the default is for tests, and
            refused unless the plan says that its noise is seeded.

    Raises:
        InputError: The history is not that of one device.
    """

    model: Model
    history: Cohort = field(repr=False)
    identity: SigningKey = field(repr=False)
    federation: Federation
    agreement: Agreement
    ledger: EgressLedger = field(default_factory=EgressLedger)
    local: LocalStates = field(default_factory=MemoryLocalStates)
    certificate: bytes = b""
    models: ModelStore | None = None
    release: Release = field(default_factory=Unasked)
    randomness: Callable[[], Randomness] = Randomness.secret

    def __post_init__(self) -> None:
        """Check that it is one device."""
        if len(self.history) != 1:
            raise InputError("A device's history is a cohort of one.")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Joined:
    """A round of secure aggregation that the device is in."""

    number: int
    body: bytes  # of the request that began it
    task: DeviceTask
    gate: Gate
    client: Client


class _Looked(Exception):
    """A message was made, and looked at in place of being sent."""

    def __init__(self, preview: Preview) -> None:
        super().__init__()
        self.preview = preview


class DeviceSession:
    """A device's answers to a server.

    Formal Guarantees:
        What :meth:`answer` returns passed the gate under `federation_policy` of a plan that the
        device's user agreed to. Under secure aggregation a vector leaves only as
        :class:`privet.privacy.secagg.client.Client` masks it, with its noise share, for terms
        that the device made itself from that plan and from the hash of the shared state it
        received. Each vector has fresh randomness, and each counts as a participation before it
        is computed. There is one message for each stage of a round. Each message, and each repeat,
        leaves only if the device's `Release` is open before anything is computed and allows these
        very bytes just before they leave. Whether a request is refused does not depend on the
        history, unless the host's own release makes it so.

    Args:
        device: Whose answers.
    """

    def __init__(self, device: Device) -> None:
        """Be in no round."""
        self._device = device
        self._gates: dict[str, Gate] = {}
        self._round: _Joined | None = None
        self._made: tuple[tuple[Slot, str, str], bytes] | None = None
        self._looking = self._ended = False

    def answer(self, request: Envelope) -> AdmittedMessage | None:
        """The answer to a request, or None if there is none."""
        try:
            return self._answer(request)
        except Exception as error:  # noqa: BLE001 - no request may bring its host down
            _LOG.info("no answer to a request: %s", scrub(error))
            return None

    def preview(self, request: Envelope) -> Preview | None:
        """What `answer` would send, to the bit, and None where it would refuse.

        Whether the ledger has room for one message more is not asked here.

        Nothing leaves, and nothing is written down as if it had; that the device took part in the
        step is, since it computed. Asked for the same stage of the same round, `answer` then sends
        these bytes, while this object lives.
        """
        self._looking = True
        try:
            self._answer(request)
        except _Looked as found:
            return found.preview
        except Exception as error:  # noqa: BLE001 - as for an answer
            _LOG.info("no answer to a request: %s", scrub(error))
        finally:
            self._looking = False
        return None

    def forget(self) -> None:
        """End the session: drop its round and what was made and not sent, and answer nothing more.

        For when something of the history was erased: whoever goes on makes a session with the
        history that is left.
        """
        self._round = self._made = None
        self._ended = True

    def _answer(self, request: Envelope) -> AdmittedMessage:
        if self._ended:
            raise PrivacyError("The session's history is not the device's any more.")
        if self._device.release.open() is not True:
            raise PrivacyError("The user does not agree to contribute now.")
        if request.run != self._device.federation.run:
            raise PrivacyError("A request is of another run than this device joined.")
        stage = Stage(request.stage)
        if stage is Stage.HELLO:
            return self._hello(request)
        if stage is Stage.CONTRIBUTE:
            return self._contribute(request)
        if stage is Stage.MODEL:
            return self._keep_model(request)
        if stage is Stage.ADVERTISE:
            return self._advertise(request)
        joined = self._round
        if joined is None or joined.number != request.round:
            raise PrivacyError("A request is of a round that this device is not in.")
        if stage is Stage.MASK:
            return self._mask(joined, request)
        act = {
            Stage.SHARE: joined.client.share,
            Stage.COSIGN: joined.client.cosign,
            Stage.UNMASK: joined.client.unmask,
        }[stage]
        return self._once(request, joined.gate, stage, lambda: act(request.payload))

    def _hello(self, request: Envelope) -> AdmittedMessage:
        body = self._open(request)
        challenge, plan = body[:CHALLENGE_BYTES], body[CHALLENGE_BYTES:]
        if len(challenge) != CHALLENGE_BYTES:
            raise InputError("Expected a challenge and a plan.")
        gate = self._gate(Plan.from_bytes(plan))
        data = Hello.sign(
            self._device.identity,
            int(self._device.history.devices[0]),
            run=request.run,
            plan_hash=gate.policy.plan_hash,
            challenge=challenge,
        )
        message = protocol_message(gate.policy, str(Stage.HELLO), data)
        return self._release(request, gate, message)

    def _keep_model(self, request: Envelope) -> AdmittedMessage:
        """Keep a model that the pinned server signed, of a plan that the user agreed to."""
        message = ModelMessage.parse(self._open(request))
        gate = self._gate(message.plan)
        if self._device.models is None:
            raise InputError("This device keeps no published models.")
        models, key = self._device.models, self._device.identity

        def keep() -> bytes:
            models.keep(message)
            return message.receipt(key, request.run)

        return self._once(request, gate, Stage.MODEL, keep)

    def _contribute(self, request: Envelope) -> AdmittedMessage:
        task, gate, terms = self._task(self._open(request), request.round)
        if task.plan.facts.trust is Trust.SECURE_AGGREGATION:
            raise PrivacyError("Under secure aggregation no vector leaves unmasked.")
        return self._once(
            request,
            gate,
            task.step.name,
            lambda: PlainUpload.sign(self._device.identity, terms, self._vector(task, gate)),
        )

    def _advertise(self, request: Envelope) -> AdmittedMessage:
        joined = self._join(self._open(request), request.round, None)

        def advertise() -> bytes:
            self._round = joined
            return joined.client.advertise()

        return self._once(request, joined.gate, Stage.ADVERTISE, advertise)

    def _once(
        self, request: Envelope, gate: Gate, step: str, make: Callable[[], bytes]
    ) -> AdmittedMessage:
        """One message for each stage of a round: whoever asks again gets its bytes, or none."""
        slot = Slot(run=request.run, round_number=request.round, stage=request.stage)
        before = self._device.ledger.resend(slot)
        if before is not None:
            return self._release(request, gate, decode_message(gate.policy, before))
        place = (slot, gate.policy.hash, str(step))
        if self._made is None or self._made[0] != place:
            self._made = (place, make())
        message = protocol_message(gate.policy, str(step), self._made[1])
        admitted = self._release(request, gate, message)
        self._device.ledger.record_sent(slot, admitted.payload)
        self._made = None
        return admitted

    def _release(self, request: Envelope, gate: Gate, message: Message) -> AdmittedMessage:
        """Let a message leave, if the device's user and its host let it."""
        release = self._device.release

        def preview(payload: bytes) -> Preview:
            return Preview.of(gate.policy, payload, run=request.run, round_number=request.round)

        if self._looking:
            raise _Looked(preview(encode_message(gate.policy, message)))

        def approve(payload: bytes) -> bool:
            return release.open() is True and release.allows(preview(payload)) is True

        return gate.admit_message(message, approve=approve)

    def _join(self, body: bytes, number: int, state: bytes | None) -> _Joined:
        device = self._device
        task, gate, terms = self._task(body, number)
        if task.plan.facts.trust is not Trust.SECURE_AGGREGATION:
            raise PrivacyError("The plan is not of secure aggregation.")
        if state is None:
            client = Client(terms, device.identity, device.ledger, certificate=device.certificate)
        else:
            client = Client.resume(terms, device.identity, device.ledger, state)
        return _Joined(number=number, body=body, task=task, gate=gate, client=client)

    def _mask(self, joined: _Joined, request: Envelope) -> AdmittedMessage:
        return self._once(
            request,
            joined.gate,
            joined.task.step.name,
            lambda: joined.client.mask(request.payload, self._vector(joined.task, joined.gate)),
        )

    def _vector(self, task: DeviceTask, gate: Gate) -> NDArray[np.uint32]:
        """The device's own vector with its noise share, modulo 2**32; it counts."""
        device, plan = self._device, task.plan
        randomness = device.randomness()
        if randomness.seeded and not plan.seeded_noise:
            raise PrivacyError("A seed is no randomness for a plan that promises privacy.")
        upload, after = compute(
            device.model,
            task,
            device.local.before(plan.hash, task.step.name),
            device.history,
            randomness=randomness,
            gate=gate,
            policy=gate.policy,
            add_noise_share=plan.facts.trust is not Trust.CENTRAL,
        )
        device.local.keep(plan.hash, task.step.name, after)
        return _dense(upload)

    def _task(self, body: bytes, number: int) -> tuple[DeviceTask, Gate, Terms]:
        """What the server asks for, the gate for it, and the device's own terms."""
        found = TaskMessage.parse(body)
        gate = self._gate(found.plan)
        step = _step(found.plan, found.step)
        task = DeviceTask(plan=found.plan, step=step, shared=found.shared, attempt=found.attempt)
        terms = self._device.federation.terms(
            found.plan, step, model_hash=state_hash(found.shared), round_number=number
        )
        return task, gate, terms

    def _gate(self, plan: Plan) -> Gate:
        """The gate of a plan, if the device's user agreed to it and its model is the plan's."""
        device, plan_hash = self._device, plan.hash
        if plan_hash not in self._gates:
            policy = federation_policy(plan, device.federation)
            device.agreement.check(plan_hash=plan_hash, policy_hash=policy.hash)
            own = {"model": device.model.name, "parameters": _parameters(device.model)}
            asked = {"model": plan.model, "parameters": plan.parameters}
            if canonical_bytes(own) != canonical_bytes(asked):
                raise PrivacyError("The plan is of another model than this device has.")
            if plan.facts.items != device.history.n_items:
                raise PrivacyError("The plan is of another catalogue than this device has.")
            self._gates[plan_hash] = Gate(
                policy,
                agreement=device.agreement,
                ledger=device.ledger,
            )
        return self._gates[plan_hash]

    def _open(self, request: Envelope) -> bytes:
        """The body of a request that the pinned server signed."""
        return open_request(
            self._device.federation.server_key,
            stage=request.stage,
            run=request.run,
            round_number=request.round,
            payload=request.payload,
        )

    def suspend(self) -> bytes:
        """The round that the device is in, with its secrets, for another process; see `Client`.

        Empty if it is in none.
        """
        if self._round is None:
            return b""
        state, number = self._round.client.suspend(), self._round.number
        sizes = number.to_bytes(4, "big") + len(state).to_bytes(4, "big")
        return sizes + state + self._round.body

    def resume(self, data: bytes) -> None:
        """Go on where `suspend` left off; what cannot be gone on with is a round dropped."""
        self._round = None
        if not data:
            return
        number, size = (int.from_bytes(data[at : at + 4], "big") for at in (0, 4))
        try:
            self._round = self._join(data[8 + size :], number, data[8 : 8 + size])
        except Exception as error:  # noqa: BLE001 - a round is no reason to fail
            _LOG.info("a round was dropped: %s", scrub(error))


def _step(plan: Plan, name: str) -> StepPlan:
    for step in plan.steps:
        if step.name == name:
            return step
    raise PrivacyError("The plan has no such step.")


def _parameters(model: Model) -> dict[str, Any]:
    return asdict(model)  # type: ignore[call-overload, no-any-return]


def _dense(upload: Upload) -> NDArray[np.uint32]:
    message = upload.message()
    vector = message.fields[upload.field]
    assert isinstance(vector, np.ndarray)
    return vector
