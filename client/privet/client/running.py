"""A device that answers until it is told to stop, whatever becomes of its server meanwhile."""

from collections import Counter
from collections.abc import Callable
from secrets import SystemRandom

from privet.client.embedded.device_loop import MAX_BACKOFF_SECONDS, EmbeddedDevice, Step
from privet.client.embedded.errors import RejectedError, UnreachableError
from privet.client.embedded.pace import Pace
from privet.client.embedded.transport import FleetConnection
from privet.client.membership import Membership
from privet.client.session import DeviceSession


def answer_until(
    membership: Membership,
    session: DeviceSession,
    until: Callable[[], bool],
    *,
    wait: Callable[[float], object],
    pace: Pace | None = None,
) -> Counter[str]:
    """Answer the server; a server that is away, or has not enrolled the device yet, is tried again.

    Args:
        membership: Of the device.
        session: Its answers.
        until: Asked before each step.
        wait: Sleeps; an event's ``wait`` lets the host end it early.
        pace: Between steps; if not given, one for as many devices as the plan is for.

    Returns:
        How many steps had which outcome.

    Raises:
        UntrustedServerError: The server is not the one that the pinned authority vouches for.
    """
    outcomes: Counter[str] = Counter()

    def watch(step: Step) -> None:
        outcomes[str(step.outcome)] += 1

    pace = pace or Pace.among(membership.invitation.plan.facts.devices)
    failures = 0
    device = EmbeddedDevice(FleetConnection(membership.server, membership.node), session.answer)
    while not until():
        try:
            with device:
                failures = 0
                device.run(until, pace=pace, wait=wait, watch=watch)
        except (UnreachableError, RejectedError):
            failures += 1
            longest = min(MAX_BACKOFF_SECONDS, 0.5 * 2.0 ** min(failures, 6))
            wait(SystemRandom().uniform(longest / 2, longest))
    return outcomes
