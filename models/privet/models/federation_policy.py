"""The egress policy of a device in a federation: every message of the protocol, field by field.

Under secure aggregation the plain vector is no message, so the gate denies it. All sizes follow
from plan and federation: a message whose length depends on how many neighbours a device has is
padded to the most that it may have.
"""

import math
from contextlib import suppress

import numpy as np

from privet.models.federation import Federation, Stage
from privet.models.plan import Plan
from privet.privacy.accounting.adversaries import Adversary, Trust
from privet.privacy.errors import EgressError, InputError, PrivacyError
from privet.privacy.minimization.messages import Message, Value, decode_message
from privet.privacy.minimization.policy import EgressPolicy, FieldRule, FieldType
from privet.privacy.secagg import device_messages as wire
from privet.privacy.secagg.parameters import SMALLEST_COHORT, split_resistant_parameters
from privet.privacy.secagg.primitives import KEY_BYTES, SIGNATURE_BYTES
from privet.privacy.secagg.wire import HEADER_BYTES

_RECEIVERS = (Adversary.CURIOUS_SERVER, Adversary.MALICIOUS_SERVER, Adversary.NETWORK)
_OTHERS = (Adversary.OTHER_CLIENT, Adversary.CURIOUS_SERVER, Adversary.MALICIOUS_SERVER)
_ADDRESS_BYTES = 32 + 4  # hash of the roster, position in it
_PADDING = b"\x80"
_NOISE = {
    Trust.CENTRAL: "the server adds Gaussian noise to the sum",
    Trust.SECURE_AGGREGATION: "a share of Skellam noise, and masked: only the sum is learnt",
    Trust.LOCAL: "Skellam noise enough for this vector alone",
}


def federation_policy(plan: Plan, federation: Federation) -> EgressPolicy:
    """All that may leave a device that follows this plan in this federation.

    A pure function of both: whoever agrees to the policy agrees to the plan and to what the
    federation assumes of devices, and server and device make the same one. There is a message for
    each stage by its name, and one for each step of the plan, which carries that step's vector.

    Raises:
        InputError: A step of the plan has the name of a stage.
        PrivacyError: No graph of secure aggregation fits the plan's groups.
    """
    if {step.name for step in plan.steps} & set(Stage):
        raise InputError("A step of the plan has the name of a stage of the protocol.")
    masked = plan.facts.trust is Trust.SECURE_AGGREGATION
    fields = [_identity(plan, masked), _number()]
    if masked:
        fields += [_advert(federation), _envelopes(plan, federation), _statement(plan)]
    fields.append(_contribution(plan))
    if masked:
        fields += [_cosignature(), _shares(plan, federation)]
    fields.append(_signature(plan))
    return EgressPolicy(rules=tuple(fields), plan_hash=plan.hash)


def protocol_message(policy: EgressPolicy, step: str, data: bytes) -> Message:
    """A message of the protocol as the fields that the policy has for it, padded.

    Raises:
        EgressError: The policy has no such message, or none of this length.
    """
    rules = policy.of_step(step)
    size = sum(rule.size(step) for rule in rules)
    if step in _PADDED and len(data) < size:
        data = (data + _PADDING).ljust(size, b"\0")
    if not rules or len(data) != size:
        raise EgressError("The egress policy has no message of this length. Nothing was sent.")
    fields: dict[str, Value] = {}
    at = 0
    for rule in rules:
        fields[rule.field] = np.frombuffer(
            data, rule.type.dtype, count=rule.entries(step), offset=at
        )
        at += rule.size(step)
    return Message(step=step, fields=fields)


def protocol_bytes(policy: EgressPolicy, step: str, payload: bytes) -> bytes:
    """The message of the protocol that an admitted payload carries.

    Raises:
        InputError: The payload is no message of this policy, or one of another step.
    """
    message = decode_message(policy, payload)
    if message.step != step:
        raise InputError("A device answered with a message of another stage.")
    data = payload[len(payload) - sum(rule.size(step) for rule in policy.of_step(step)) :]
    if step not in _PADDED:
        return data
    bare = data.rstrip(b"\0")
    if not bare.endswith(_PADDING):
        raise InputError("A device's message is not padded as it must be.")
    return bare[: -len(_PADDING)]


_PADDED = frozenset((Stage.SHARE.value, Stage.UNMASK.value))


def most_neighbours(devices: int, fewest: int, federation: Federation) -> tuple[int, int]:
    """Most neighbours that a device may choose, and most that may choose it, in any roster.

    Generous, for a roster may be smaller than the plan's groups and the number of those
    that choose a device is random, with mean k. A device with more is silent: below 2**-40.

    Args:
        devices: In the largest group.
        fewest: Devices that must be left in it.
        federation: What it assumes of devices.

    Raises:
        PrivacyError: No graph fits.
    """
    # A graph that no server can cut gets denser with its size and then, at some size, sparse.
    k, size = _neighbours(devices, fewest, federation), devices * 7 // 8
    while size >= max(fewest, SMALLEST_COHORT):
        with suppress(PrivacyError):  # there is no roster of this size
            k = max(k, _neighbours(size, fewest, federation))
        size = size * 7 // 8
    chosen = k + k // 2 + 8
    return min(devices - 1, chosen), min(devices - 1, chosen + 8 * math.isqrt(chosen) + 24)


def _neighbours(devices: int, fewest: int, federation: Federation) -> int:
    return split_resistant_parameters(
        devices,
        corrupt_permille=federation.corrupt_permille,
        drop_permille=federation.drop_permille,
        min_survivors=fewest,
    ).neighbours


def _most_neighbours(plan: Plan, federation: Federation) -> tuple[int, int]:
    fewest = max(plan.facts.min_survivors, 2)
    return most_neighbours(plan.facts.largest_group, fewest, federation)


def _identity(plan: Plan, masked: bool) -> FieldRule:
    steps = [] if masked else [step.name for step in plan.steps]
    return _rule(
        "identity",
        {name: (KEY_BYTES,) for name in [Stage.HELLO.value, *steps, Stage.MODEL.value]},
        purpose="show that one enrolled device answers, and answers once",
        mechanism="public key of a key pair that the device made for this federation",
        retention="until the device leaves the federation",
        adversaries=_RECEIVERS,
    )


def _number() -> FieldRule:
    return FieldRule(
        field="number",
        type=FieldType.UINT64,
        shapes={Stage.HELLO.value: (1,)},
        bits=63,
        purpose="say which group of a round the device is in",
        mechanism="a public number that was made when the device joined",
        retention="until the device leaves the federation",
        adversaries=_RECEIVERS,
    )


def _advert(federation: Federation) -> FieldRule:
    size = HEADER_BYTES + 32 + wire.Advert.entry_bytes(federation.certifier_key is not None)
    return _rule(
        "advert",
        {Stage.ADVERTISE.value: (size,)},
        purpose="agree on masks with other devices",
        mechanism="fresh public keys, a commitment to random bytes, and a signature",
        retention="until the round ends",
        adversaries=_OTHERS,
    )


def _envelopes(plan: Plan, federation: Federation) -> FieldRule:
    neighbours, _ = _most_neighbours(plan, federation)
    fixed = HEADER_BYTES + _ADDRESS_BYTES + KEY_BYTES + SIGNATURE_BYTES
    return _rule(
        "envelopes",
        {Stage.SHARE.value: (fixed + neighbours * wire.ENVELOPE_BYTES + 1,)},
        purpose="let the sum be unmasked when devices drop out",
        mechanism=(
            "shares of this round's random secrets, sealed for other devices, of whom "
            f"{federation.corrupt_permille} in 1,000 are assumed corrupt and "
            f"{federation.drop_permille} to drop out; padded"
        ),
        retention="until the round ends",
        adversaries=_OTHERS,
    )


def _statement(plan: Plan) -> FieldRule:
    return _rule(
        "statement",
        {step.name: (HEADER_BYTES + _ADDRESS_BYTES + 64,) for step in plan.steps},
        purpose="say with whom the vector was masked",
        mechanism="hashes of who takes part, and a commitment to random bytes",
        retention="until the round ends",
        adversaries=_RECEIVERS,
    )


def _contribution(plan: Plan) -> FieldRule:
    noise = _NOISE[plan.facts.trust]
    if math.isinf(plan.facts.epsilon):
        noise += ", but no noise at all: NOT PRIVATE"
    elif plan.seeded_noise:
        noise += "; all noise follows from a seed: NOT PRIVATE"
    return FieldRule(
        field="contribution",
        type=FieldType.UINT32,
        shapes={step.name: (step.encoding.dimension,) for step in plan.steps},
        bits=32,
        purpose=f"train the shared {plan.model} model",
        mechanism=f"clipped in L2 norm, rounded to integers modulo 2**32; {noise}",
        retention="until the round's sum is taken",
        adversaries=_RECEIVERS,
    )


def _cosignature() -> FieldRule:
    return _rule(
        "cosignature",
        {Stage.COSIGN.value: (HEADER_BYTES + _ADDRESS_BYTES + SIGNATURE_BYTES,)},
        purpose="let every device see that there is one set of survivors",
        mechanism="a signature over who takes part",
        retention="until the round ends",
        adversaries=_OTHERS,
    )


def _shares(plan: Plan, federation: Federation) -> FieldRule:
    _, choosers = _most_neighbours(plan, federation)
    fixed = HEADER_BYTES + _ADDRESS_BYTES + 2 + SIGNATURE_BYTES
    return _rule(
        "shares",
        {Stage.UNMASK.value: (fixed + choosers * wire.REVEALED_BYTES + 1,)},
        purpose="take the masks off the sum",
        mechanism="for each device one share of one of its random secrets, once a round; padded",
        retention="until the round ends",
        adversaries=_RECEIVERS,
    )


def _signature(plan: Plan) -> FieldRule:
    steps = [Stage.HELLO.value, *(step.name for step in plan.steps), Stage.MODEL.value]
    return _rule(
        "signature",
        dict.fromkeys(steps, (SIGNATURE_BYTES,)),
        purpose="show that nobody else sent or changed the message",
        mechanism="a signature over the rest of the message and the round",
        retention="until the round ends",
        adversaries=_RECEIVERS,
    )


def _rule(
    field: str,
    shapes: dict[str, tuple[int, ...]],
    *,
    purpose: str,
    mechanism: str,
    retention: str,
    adversaries: tuple[Adversary, ...],
) -> FieldRule:
    return FieldRule(
        field=field,
        type=FieldType.UINT8,
        shapes=shapes,
        bits=8,
        purpose=purpose,
        mechanism=mechanism,
        retention=retention,
        adversaries=adversaries,
    )
