"""What a device checks in the three messages that follow the roster."""

from privet.privacy.errors import IntegrityError, PrivacyError
from privet.privacy.secagg import primitives
from privet.privacy.secagg.roster import Roster
from privet.privacy.secagg.server_messages import (
    Delivery,
    Survivors,
    UnmaskRequest,
    sharers_digest,
)
from privet.privacy.secagg.wire import bitmap, u32


def survivors_signed(sharers: frozenset[int], survivors: Survivors) -> tuple[bytes, ...]:
    """What a co-signature covers: roster, sharers and survivors (the dead are the others)."""
    devices = survivors.devices
    return (
        survivors.roster_hash,
        sharers_digest(sharers, devices),
        bitmap(survivors.active, devices),
    )


def check_delivery(
    roster: Roster, own: int, neighbours: tuple[int, ...], message: Delivery
) -> None:
    """Check who has shared, before a vector is masked with them.

    Args:
        roster: The roster.
        own: The device's position.
        neighbours: Whom it chose.
        message: The delivery.

    Raises:
        IntegrityError: It is for another roster or device.
        PrivacyError: Too few devices, or too few of the neighbours, have shared.
    """
    if message.roster_hash != roster.hash or message.destination != own:
        raise IntegrityError("The delivery is for another roster or another device.")
    if own not in message.sharers:
        raise PrivacyError("This device is not among those that have shared.")
    if len(message.sharers) < roster.terms.min_survivors:
        raise PrivacyError("Fewer devices have shared than the noise is set for.")
    if len(message.sharers.intersection(neighbours)) < roster.parameters.threshold:
        raise PrivacyError("Fewer neighbours have shared than the threshold.")
    sources = {delivered.source for delivered in message.delivered}
    if own in sources or not sources <= message.sharers:
        raise PrivacyError("An envelope comes from a device that has not shared.")


def check_survivors(roster: Roster, own: int, sharers: frozenset[int], message: Survivors) -> None:
    """Check the survivors, before they are signed.

    Args:
        roster: The roster.
        own: The device's position.
        sharers: Who has shared, as this device was told before it masked.
        message: The survivors.

    Raises:
        IntegrityError: They are of another roster.
        PrivacyError: The lists overlap or do not fit, the device is not in the sum, or too few are.
    """
    if message.roster_hash != roster.hash:
        raise IntegrityError("The survivors are of another roster.")
    if message.active & message.dead:
        raise PrivacyError("A device is listed both as active and as dead.")
    if message.active | message.dead != sharers:
        raise PrivacyError("The active and the dead are not those that have shared.")
    if own not in message.active:
        raise PrivacyError("This device is not in the sum, so it helps nobody to unmask it.")
    if len(message.active) < max(roster.terms.min_survivors, roster.parameters.threshold):
        raise PrivacyError("Fewer devices survive than the noise is set for.")


def check_request(
    roster: Roster,
    sharers: frozenset[int],
    signed: Survivors,
    choosers: frozenset[int],
    message: UnmaskRequest,
) -> None:
    """Check the quorum, before shares are revealed.

    Args:
        roster: The roster.
        sharers: Who has shared, as this device was told before it masked.
        signed: The survivors that it signed.
        choosers: Those who chose this device, whose shares it may hold.
        message: The request.

    Raises:
        IntegrityError: A signature is wrong.
        PrivacyError: Other survivors, no quorum, or statements of other devices than it needs.
    """
    if message.survivors != signed:
        raise PrivacyError("The survivors are not those that this device signed.")
    if len(message.cosignatures) < roster.parameters.quorum:
        raise PrivacyError("Too few devices signed the survivors.")
    expected = survivors_signed(sharers, signed)
    for position, signature in message.cosignatures:
        if position not in signed.active:
            raise PrivacyError("A device that does not survive signed the survivors.")
        identity = roster.adverts[position].identity
        primitives.verify(identity, signature, b"survivors", *expected)
    # A survivor that was shown other sharers may lack masks; its seed must stay secret.
    if {position for position, _, _ in message.statements} != choosers & signed.active:
        raise PrivacyError("The statements are not those of the survivors that chose this one.")
    for position, content, signature in message.statements:
        parts = (roster.hash, u32(position), expected[1], content)
        primitives.verify(roster.adverts[position].identity, signature, b"masked", *parts)
