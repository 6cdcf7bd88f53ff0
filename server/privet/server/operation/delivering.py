"""Published models on their way to the devices that are to have them, until they do."""

import time
from collections.abc import Callable

from privet.models.invitation import Invitation
from privet.models.model import state_hash
from privet.models.model_message import ModelMessage
from privet.privacy.secagg.primitives import SigningKey
from privet.server.courier import Courier, Deadlines
from privet.server.delivery import Delivery
from privet.server.operation.devices import Devices
from privet.server.operation.link import Link
from privet.server.registry import Registry

ONCE_SECONDS, POLL_SECONDS = 1.0, 5.0


class Deliveries:
    """Brings every enrolled device what the registry says that it is to have.

    Args:
        invitation: What devices joined with.
        key: The server's.
        registry: What is in force; other processes change it.
        devices: Who is enrolled, and what they keep; other processes change it.
        deadlines: How long to wait for answers.
        enrolled: Told how many devices are enrolled when that changes.
    """

    def __init__(
        self,
        invitation: Invitation,
        key: SigningKey,
        *,
        registry: Registry,
        devices: Devices,
        deadlines: Deadlines,
        enrolled: Callable[[int], None],
    ) -> None:
        """Deliver nothing yet."""
        self._invitation, self._key = invitation, key
        self._registry, self._devices = registry, devices
        self._deadlines, self._enrolled = deadlines, enrolled

    def run(
        self, link: Link, courier: Courier, *, once: bool, until: Callable[[], bool]
    ) -> tuple[int, int]:
        """Deliver until all have theirs, or for as long as the server is to run.

        A device that refuses, or is silent, is asked again after a stage's time.

        Returns:
            How many devices have what they are to have, and how many do not.
        """
        patience = self._deadlines.model
        deadline = time.monotonic() + patience
        known: dict[bytes, int] = {}
        delivery = self._delivery(courier, known)
        asked: dict[bytes, float] = {}
        while True:
            self._registry.refresh()
            allowed = {device.identity: device.number for device in self._devices.all}
            if allowed != known:
                link.register([device.node for device in self._devices.all])
                delivery, known = self._delivery(courier, allowed), allowed
                self._enrolled(len(known))
            due = self._due()
            now = {who: m for who, m in due.items() if time.monotonic() >= asked.get(who, 0.0)}
            receipts = delivery.deliver(now.get) if now else []
            if now:
                self._devices.keep(receipts)
                asked.update(dict.fromkeys(delivery.asked, time.monotonic() + patience))
            for receipt in receipts:
                due.pop(receipt.identity, None)
                asked.pop(receipt.identity, None)
            if (once and (not due or time.monotonic() >= deadline)) or until():
                return len(known) - len(due), len(due)
            time.sleep(ONCE_SECONDS if once else POLL_SECONDS)

    def _due(self) -> dict[bytes, ModelMessage]:
        """The model of every device that does not keep the one that it is to have."""
        rollout = self._registry.rollout
        messages: dict[int, ModelMessage] = {}
        due: dict[bytes, ModelMessage] = {}
        for device in self._devices.all:
            version = self._registry.version_for(device.identity)
            if version is None or version == device.version:
                continue
            if version not in messages:
                shared = self._registry.state(version)
                messages[version] = ModelMessage(
                    plan=self._invitation.plan,
                    version=version,
                    decision=rollout.decision,
                    rolled_back=rollout.rolled_back,
                    state_hash=state_hash(shared),
                    shared=shared,
                )
            due[device.identity] = messages[version]
        return due

    def _delivery(self, courier: Courier, allowed: dict[bytes, int]) -> Delivery:
        return Delivery(
            courier,
            federation=self._invitation.federation,
            key=self._key,
            plan=self._invitation.plan,
            allowed=allowed,
            deadlines=self._deadlines,
        )
